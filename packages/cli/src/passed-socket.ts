import { refuse } from './failure.ts';

/** The first descriptor that a service manager hands over (sd_listen_fds(3), `SD_LISTEN_FDS_START`). */
const FIRST_FD = 3;

/**
 * The descriptor of a listening socket that a service manager has opened for this process (systemd.socket(5)); `undefined`
 * without one. It outlives the process, and whoever connects in between waits. Takes the variables that say so out of `env`,
 * for they are not meant for children. Throws `CONFIG_INVALID` where there is more than one.
 */
export function takePassedSocket(env: NodeJS.ProcessEnv, { pid }: { pid: number }): number | undefined {
  const { LISTEN_PID: listenPid, LISTEN_FDS: count } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  if (listenPid !== `${pid}` || count === undefined || count === '0') return undefined;
  if (count !== '1') refuse('LISTEN_FDS', 'hand over one socket, the one of the proxy');
  return FIRST_FD;
}
