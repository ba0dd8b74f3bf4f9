import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { Host } from './host.ts';
import type { RunName } from './run-name.ts';
import { directoryOf, NAMESPACES, RUN_MARK } from './sweep.ts';

const run = promisify(execFile);

/** What to build: host names in order, and the DNS names that each answers to. */
export interface NetworkPlan {
  readonly hosts: Readonly<Record<string, readonly string[]>>;
  /** Hosts at another site: on a switch of their own, which one link joins to the first. */
  readonly remote?: readonly string[];
}

/** Bytes that an interface has carried since it came up, all headers included. */
export interface Traffic {
  readonly sent: number;
  readonly received: number;
}

/** The two ends of the link between the sites, in the hub. */
const CROSS_LINK = ['x-near', 'x-remote'] as const;

/**
 * Hosts on one switch: each a network namespace with an `eth0` at 10.77.0.x, joined by a bridge in a namespace of its
 * own. Nothing leaves the machine and nothing of it is visible in the machine's own network; so every run can use the
 * same addresses.
 */
export class Network {
  readonly #runName: RunName;
  readonly #hosts: ReadonlyMap<string, Host>;

  private constructor(runName: RunName, hosts: ReadonlyMap<string, Host>) {
    this.#runName = runName;
    this.#hosts = hosts;
  }

  static async up(runName: RunName, plan: NetworkPlan): Promise<Network> {
    const root = directoryOf(runName);
    const logDirectory = path.join(root, 'log');
    await mkdir(logDirectory, { recursive: true });
    // Mount points of Host; a machine where dockerd never ran lacks them.
    for (const directory of ['/etc/docker', '/etc/containerd', '/etc/containers', '/run/containerd']) {
      await mkdir(directory, { recursive: true });
    }
    const names = Object.entries(plan.hosts);
    const hostsFile = ['127.0.0.1 localhost']
      .concat(names.map(([name, aliases], index) => `${addressOf(index)} ${[name, ...aliases].join(' ')}`))
      .join('\n');
    const hub = `${runName}-hub`;
    await run('ip', ['netns', 'add', hub]);
    await run('ip', ['-n', hub, 'link', 'set', 'lo', 'up']);
    for (const bridge of ['br0', 'br1']) {
      await run('ip', ['-n', hub, 'link', 'add', bridge, 'type', 'bridge']);
      await run('ip', ['-n', hub, 'link', 'set', bridge, 'up']);
    }
    await run('ip', ['-n', hub, 'link', 'add', CROSS_LINK[0], 'type', 'veth', 'peer', 'name', CROSS_LINK[1]]);
    for (const [site, end] of CROSS_LINK.entries()) {
      await run('ip', ['-n', hub, 'link', 'set', end, 'master', `br${site}`, 'up']);
    }
    const remote = new Set(plan.remote);
    const hosts = new Map<string, Host>();
    for (const [index, [name]] of names.entries()) {
      const namespace = `${runName}-${name}`;
      const directory = path.join(root, name);
      await mkdir(path.join(directory, 'docker-etc', 'certs.d'), { recursive: true });
      await mkdir(path.join(directory, 'run-containerd'));
      await writeFile(path.join(directory, 'hosts'), `${hostsFile}\n`);
      // Refused at once; a resolver that does not answer would cost dockerd 30 s a pull.
      await writeFile(path.join(directory, 'resolv.conf'), 'nameserver 127.0.0.1\n');
      await connect({ hub, bridge: remote.has(name) ? 'br1' : 'br0' }, namespace, name, addressOf(index));
      const env = environmentOf(runName, directory);
      hosts.set(name, new Host({ name, address: addressOf(index), namespace, directory, logDirectory, env }));
    }
    return new Network(runName, hosts);
  }

  host(name: string): Host {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`the plan has no host ${name}`);
    return host;
  }

  /** Limits what a host sends (`up`) and receives (`down`), in Mbit/s. */
  async shape(name: string, { up, down }: { up?: number; down?: number }): Promise<void> {
    if (up !== undefined) await this.#limit(`${this.#runName}-${name}`, 'eth0', up);
    if (down !== undefined) await this.#limit(`${this.#runName}-hub`, portOf(name), down);
  }

  /** Limits the link between the sites, each way, in Mbit/s. */
  async shapeCrossLink(megabits: number): Promise<void> {
    for (const end of CROSS_LINK) await this.#limit(`${this.#runName}-hub`, end, megabits);
  }

  /** What has crossed the link between the sites; `sent` to the remote one. */
  async crossTraffic(): Promise<Traffic> {
    return await trafficOf(`${this.#runName}-hub`, CROSS_LINK[0]);
  }

  /** What a host has sent and received. */
  async traffic(name: string): Promise<Traffic> {
    return await trafficOf(`${this.#runName}-${name}`, 'eth0');
  }

  /** Takes off what {@link shape} put on. */
  async unshape(name: string): Promise<void> {
    await this.#unlimit(`${this.#runName}-${name}`, 'eth0');
    await this.#unlimit(`${this.#runName}-hub`, portOf(name));
  }

  /** Pulls the host's cable. */
  async cut(name: string): Promise<void> {
    await run('ip', ['-n', `${this.#runName}-hub`, 'link', 'set', portOf(name), 'down']);
  }

  /** Plugs it in again. */
  async restore(name: string): Promise<void> {
    await run('ip', ['-n', `${this.#runName}-hub`, 'link', 'set', portOf(name), 'up']);
  }

  async #limit(namespace: string, device: string, megabits: number): Promise<void> {
    const limit = ['tbf', 'rate', `${megabits}mbit`, 'burst', '128k', 'latency', '50ms'];
    await tc(namespace, ['qdisc', 'replace', 'dev', device, 'root', ...limit]);
  }

  async #unlimit(namespace: string, device: string): Promise<void> {
    // Fails where there is no limit, which is what was asked for.
    await tc(namespace, ['qdisc', 'del', 'dev', device, 'root']).catch(() => {});
  }
}

async function connect(
  { hub, bridge }: { hub: string; bridge: string },
  namespace: string,
  name: string,
  address: string,
): Promise<void> {
  const port = portOf(name);
  await run('ip', ['netns', 'add', namespace]);
  await run('ip', ['link', 'add', 'eth0', 'netns', namespace, 'type', 'veth', 'peer', 'name', port, 'netns', hub]);
  await run('ip', ['-n', hub, 'link', 'set', port, 'master', bridge, 'up']);
  await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
  await run('ip', ['-n', namespace, 'address', 'add', `${address}/24`, 'dev', 'eth0']);
  await run('ip', ['-n', namespace, 'link', 'set', 'eth0', 'up']);
}

async function trafficOf(namespace: string, device: string): Promise<Traffic> {
  const { stdout } = await run('ip', ['-n', namespace, '-j', '-s', 'link', 'show', 'dev', device]);
  const [link] = JSON.parse(stdout) as { stats64: Record<'rx' | 'tx', { bytes: number }> }[];
  if (link === undefined) throw new Error(`${namespace} has no ${device}`);
  return { sent: link.stats64.tx.bytes, received: link.stats64.rx.bytes };
}

async function tc(namespace: string, args: readonly string[]): Promise<void> {
  await run('nsenter', [`--net=${path.join(NAMESPACES, namespace)}`, 'tc', ...args]);
}

/** The hub's end of a host's cable. Interface names end at 15 characters. */
function portOf(name: string): string {
  return `v-${name}`.slice(0, 15);
}

function addressOf(index: number): string {
  return `10.77.0.${index + 1}`;
}

/** Compiled code of the programs that hosts run, many times over: without it each start costs another half second of CPU time. */
const COMPILE_CACHE = path.join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'testbed');

/** Nothing of the caller's environment but the path: its proxy or Docker variables must not reach the testbed. */
function environmentOf(runName: RunName, directory: string): NodeJS.ProcessEnv {
  const search = [process.env['PATH'], '/usr/sbin', '/sbin'].filter((part) => part !== undefined).join(':');
  return { PATH: search, HOME: directory, LANG: 'C.UTF-8', NODE_COMPILE_CACHE: COMPILE_CACHE, [RUN_MARK]: runName };
}
