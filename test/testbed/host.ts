import { spawn } from 'node:child_process';
import path from 'node:path';
import { Service } from './service.ts';
import { NAMESPACES } from './sweep.ts';

/** Default limit of a command that is to end by itself, in ms. */
const COMMAND_TIMEOUT_MS = 60_000;

/**
 * Gives a command the host's own files and network. Not `ip netns exec`: it remounts /sys and so hides the cgroups that
 * dockerd needs. Every step is an exec, so the pid that we spawned is the command's.
 */
const ENTER = `
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/docker-etc" /etc/docker
mount --bind "$1/run-containerd" /run/containerd
for name in containerd containers; do
  if [ -d "$1/$name-etc" ]; then mount --bind "$1/$name-etc" "/etc/$name"; fi
done
network=$2; shift 2
exec nsenter --net="$network" -- "$@"`;

/** How a command ended. */
export interface Outcome {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command gets besides its arguments. */
export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input: where secrets go, for arguments are seen by all. */
  readonly input?: string;
  readonly timeoutMs?: number;
}

/** One machine of the testbed: a network namespace with its own hosts file, resolver and Docker configuration. */
export class Host {
  readonly name: string;
  readonly address: string;
  readonly namespace: string;
  /** Files of this host; seen by all hosts, for they share the file system. */
  readonly directory: string;
  readonly #logDirectory: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(o: {
    name: string;
    address: string;
    namespace: string;
    directory: string;
    logDirectory: string;
    env: NodeJS.ProcessEnv;
  }) {
    this.name = o.name;
    this.address = o.address;
    this.namespace = o.namespace;
    this.directory = o.directory;
    this.#logDirectory = o.logDirectory;
    this.#env = o.env;
  }

  /** The Docker trust directory of this host, under the path that it has outside of the host's own mounts. */
  get certificatesDirectory(): string {
    return path.join(this.directory, 'docker-etc', 'certs.d');
  }

  /** Starts a command that runs until it is stopped. Its log is `<host>-<name>.log`. */
  start(name: string, command: readonly string[], { env = {} }: { env?: Readonly<Record<string, string>> } = {}) {
    const logFile = path.join(this.#logDirectory, `${this.name}-${name}.log`);
    const args = this.enter(command);
    return Service.start({
      name: `${name} on ${this.name}`,
      logFile,
      file: 'unshare',
      args,
      env: { ...this.#env, ...env },
    });
  }

  /** Runs a command to its end. Whatever the exit code, it is the caller's to judge. */
  run(command: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
    const { env = {}, input = '', timeoutMs = COMMAND_TIMEOUT_MS } = options;
    return new Promise((resolve, reject) => {
      const child = spawn('unshare', this.enter(command), { env: { ...this.#env, ...env }, timeout: timeoutMs });
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
      child.stdin.on('error', () => {}); // The command may end without reading.
      child.stdin.end(input);
      child.once('error', reject);
      child.once('close', (code, signal) =>
        resolve({
          code: code ?? signal ?? 'unknown',
          stdout: Buffer.concat(stdout).toString(),
          stderr: Buffer.concat(stderr).toString(),
        }),
      );
    });
  }

  /** As {@link run}, for commands that must succeed: gives standard output, or throws with standard error. */
  async runOrThrow(command: readonly string[], options: CommandOptions = {}): Promise<string> {
    const outcome = await this.run(command, options);
    if (outcome.code === 0) return outcome.stdout;
    const said = `${outcome.stdout}${outcome.stderr}`.trim();
    throw new Error(`${command.slice(0, 3).join(' ')} … on ${this.name} ended with ${outcome.code}: ${said}`);
  }

  /** Arguments of `unshare` that run the command on this host, for those who speak with it over its standard streams. */
  enter(command: readonly string[]): string[] {
    const network = path.join(NAMESPACES, this.namespace);
    return ['-m', '--propagation', 'private', 'sh', '-ec', ENTER, 'sh', this.directory, network, ...command];
  }
}
