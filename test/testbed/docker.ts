import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { CommandOptions, Host, Outcome } from './host.ts';
import type { RunName } from './run-name.ts';
import type { Service } from './service.ts';

/** One Docker daemon of its own on a host, and the `docker` command that talks to it. */
export class Dockerd {
  readonly host: Host;
  readonly socket: string;
  readonly #service: Service;

  private constructor(host: Host, socket: string, service: Service) {
    this.host = host;
    this.socket = socket;
    this.#service = service;
  }

  /**
   * Starts the daemon. `proxy` (`host:port`) becomes its HTTPS proxy, as an operator would set it. Containers use the
   * host's network, for the daemon gets neither bridge nor firewall. `flags` are more of its command line, `env` of its
   * environment.
   */
  static async start(
    host: Host,
    {
      runName,
      proxy,
      flags = [],
      env: more = {},
    }: {
      runName: RunName;
      proxy?: string;
      flags?: readonly string[];
      env?: Readonly<Record<string, string>>;
    },
  ): Promise<Dockerd> {
    const socket = path.join(host.directory, 'docker.sock');
    const env: Record<string, string> =
      proxy === undefined
        ? {}
        : { HTTPS_PROXY: `http://${proxy}`, HTTP_PROXY: `http://${proxy}`, NO_PROXY: 'localhost' };
    const service = host.start(
      'dockerd',
      [
        ...['dockerd', '-H', `unix://${socket}`, '--pidfile', path.join(host.directory, 'docker.pid')],
        ...[
          '--data-root',
          path.join(host.directory, 'docker'),
          '--exec-root',
          path.join(host.directory, 'docker-exec'),
        ],
        ...['--storage-driver', await storageDriver(host)],
        ...['--bridge=none', '--iptables=false', '--ip6tables=false'],
        // A cgroup by the name of the run, so that the reaper can tell what is ours.
        ...['--exec-opt', 'native.cgroupdriver=cgroupfs', '--cgroup-parent', `/${runName}`],
        ...flags,
      ],
      { env: { ...env, ...more } },
    );
    await service.waitFor('its socket', (line) => line.includes('API listen on') || undefined);
    return new Dockerd(host, socket, service);
  }

  /** Runs `docker …`. Each `user` has a configuration directory, and so credentials, of its own. */
  run(
    args: readonly string[],
    { user = 'nobody', ...options }: { user?: string } & CommandOptions = {},
  ): Promise<Outcome> {
    const env = {
      DOCKER_HOST: `unix://${this.socket}`,
      DOCKER_CONFIG: path.join(this.host.directory, `docker-config-${user}`),
    };
    return this.host.run(['docker', ...args], { ...options, env });
  }

  /** As {@link run}, for commands that must succeed. */
  async runOrThrow(args: readonly string[], options: { user?: string } & CommandOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, options);
    if (code !== 0)
      throw new Error(`docker ${args.join(' ')} on ${this.host.name} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** `docker login`, with the password on standard input; later commands of this user have its credentials. */
  async login(registry: string, { name, password }: { name: string; password: string }): Promise<void> {
    await this.runOrThrow(['login', '-u', name, '--password-stdin', registry], { user: name, input: password });
  }

  /** Removes an image with its layers, so that the next pull asks for all of them again. */
  async forget(image: string): Promise<void> {
    await this.runOrThrow(['image', 'rm', '-f', image]);
  }

  async stop(): Promise<void> {
    await this.#service.stop();
  }
}

/** overlay2, or vfs where the file system of the testbed cannot carry an overlay (it may be one itself). */
async function storageDriver(host: Host): Promise<string> {
  const directory = path.join(host.directory, 'overlay-check');
  const at = (name: string) => path.join(directory, name);
  for (const name of ['lower', 'upper', 'work', 'merged']) await mkdir(at(name), { recursive: true });
  const layers = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
  const { code } = await host.run(['mount', '-t', 'overlay', 'overlay', '-o', layers, at('merged')]);
  await rm(directory, { recursive: true, force: true });
  return code === 0 ? 'overlay2' : 'vfs';
}
