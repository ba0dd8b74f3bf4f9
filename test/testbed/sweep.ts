import { execFile } from 'node:child_process';
import { readdir, readFile, readlink, rm, rmdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isOwnerAlive, type RunName, runNameOf } from './run-name.ts';

/** The environment variable that marks each process of a run, so that it is found whatever became of its parent. */
export const RUN_MARK = 'SL_TESTBED_RUN';
/** Where `ip netns` keeps its names. */
export const NAMESPACES = '/run/netns';
/** Longest time that killed processes may take to be gone, in ms; a process in the kernel's hands cannot be hurried. */
const KILL_TIMEOUT_MS = 15_000;
/** Pause between two looks at /proc, in ms. */
const LOOK_EVERY_MS = 20;

const run = promisify(execFile);

/** The directory that holds all files of a run. Short, because sockets go there and their paths end at 107 bytes. */
export function directoryOf(runName: RunName): string {
  return path.join(tmpdir(), runName);
}

/**
 * Removes whatever is left of a run: processes, namespaces, cgroups, files. Processes are found by their mark, by the
 * namespace that they live in, or by their cgroup: containers carry no mark, and may have a namespace of their own. Safe to call for a run that left nothing.
 */
export async function sweepRun(runName: RunName): Promise<void> {
  const namespaces = (await list(NAMESPACES)).filter((name) => runNameOf(name) === runName);
  await killProcesses(runName, namespaces);
  for (const name of namespaces)
    await run('ip', ['netns', 'delete', name]).catch(ignoreIfGone(`${NAMESPACES}/${name}`));
  for (const hierarchy of ['', ...(await list('/sys/fs/cgroup'))]) {
    await removeCgroup(path.join('/sys/fs/cgroup', hierarchy, runName));
  }
  await rm(directoryOf(runName), { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** Sweeps each earlier run whose owner is dead; its own reaper may have been killed as well. */
export async function sweepDeadRuns(): Promise<void> {
  const found = [...(await list(NAMESPACES)), ...(await list(tmpdir()))].map(runNameOf);
  const runNames = new Set(found.filter((name) => name !== undefined));
  for (const runName of runNames) if (!isOwnerAlive(runName)) await sweepRun(runName);
}

async function killProcesses(runName: RunName, namespaces: readonly string[]): Promise<void> {
  const inodes = await Promise.all(namespaces.map((name) => stat(path.join(NAMESPACES, name)).then(({ ino }) => ino)));
  const links = new Set(inodes.map((inode) => `net:[${inode}]`));
  const endsAt = Date.now() + KILL_TIMEOUT_MS;
  for (;;) {
    const pids = await processesOf(runName, links);
    if (pids.length === 0) return;
    if (Date.now() > endsAt) throw new Error(`processes of ${runName} do not die: ${pids.join(', ')}`);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended between the look and the kill.
      }
    }
    await setTimeout(LOOK_EVERY_MS);
  }
}

/** Processes that carry the run's mark, live in one of its network namespaces, or in its cgroup as containers do. */
export async function processesOf(runName: RunName, links: ReadonlySet<string> = new Set()): Promise<number[]> {
  const mark = `${RUN_MARK}=${runName}`;
  const pids = (await list('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      // A process that ends while we look, or a zombie, has neither.
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      if (environment.split('\0').includes(mark)) return pid;
      if (links.has(await readlink(`/proc/${pid}/ns/net`).catch(() => ''))) return pid;
      const cgroups = await readFile(`/proc/${pid}/cgroup`, 'latin1').catch(() => '');
      return cgroups.includes(`/${runName}/`) ? pid : undefined;
    }),
  );
  return found.filter((pid) => pid !== undefined);
}

/** Cgroups go by rmdir from the leaves up; what looks like files in them belongs to the kernel. */
async function removeCgroup(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true }).catch(() => [])) {
    if (entry.isDirectory()) await removeCgroup(path.join(directory, entry.name));
  }
  await rmdir(directory).catch(ignoreIfGone(directory));
}

function ignoreIfGone(name: string): (error: unknown) => Promise<void> {
  return async (error) => {
    const exists = await stat(name).then(
      () => true,
      () => false,
    );
    if (exists) throw new Error(`cannot remove ${name}`, { cause: error });
  };
}

async function list(directory: string): Promise<string[]> {
  return await readdir(directory).catch(() => []);
}
