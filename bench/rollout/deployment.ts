import { accessSync, constants, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { blobTraffic } from '../../test/testbed/access-log.ts';
import { Cluster } from '../../test/testbed/cluster.ts';
import type { Host } from '../../test/testbed/host.ts';
import { NodeProcess } from '../../test/testbed/sealift.ts';
import type { BenchmarkContext } from '../harness/benchmark.ts';
import { warmMemory } from '../harness/files.ts';
import { Party } from '../harness/party.ts';
import { cpuSecondsOfTree } from '../harness/process-usage.ts';
import type { Scope } from '../harness/scope.ts';
import { DEBIAN_PYTHON, demandParts, PYTHON } from '../harness/system-parts.ts';
import { installMissingPackages } from '../harness/testbed-parts.ts';
import type { ClientOrder, Pulled, PullOrder, Pushed, PushOrder } from './client-order.ts';
import type { Streamed } from './host-party.ts';
import type { LinkRates } from './limit.ts';
import { startPullThrough } from './pull-through.ts';
import type { Links, Setting } from './setting.ts';

const PARTY = path.join(import.meta.dirname, 'host-party.ts');
const LIGHT_CLIENT = path.join(import.meta.dirname, 'light_client.py');
/** In memory where possible: 16 nodes on one disk would measure the disk. */
const MEMORY_DIRECTORY = '/dev/shm';
const REPOSITORY = 'team-a/app';
const PULL_THROUGH = 'cache';
const PROXY = { host: '127.0.0.1', port: 3128 };
/** Node processes that start at the same time: a start costs a second of CPU. */
const CONCURRENT_STARTS = 4;
/** Length of one plain stream that measures a link, in seconds. */
const STREAM_SECONDS = 2;
/** From the order to the start of a pull, in ms: all clients have read theirs by then. */
const LEAD_MS = 250;

/** How a client gets its image. */
export type Way = 'sealift' | 'direct' | 'pull-through';

/** An image that nobody has pulled yet. */
export interface PublishedImage {
  readonly tag: string;
  /** All layers and the config. */
  readonly blobBytes: number;
}

/** What was counted outside of our own programs, since the deployment started. */
export interface Counters {
  /** Blob bytes that the registry gave out, by its own access log. */
  readonly registryLogBytes: number;
  /** Bytes that left the network interface of the registry's host: blobs, tokens, manifests, TLS, TCP and IP. */
  readonly registryInterfaceBytes: number;
  readonly seederInterfaceBytes: number;
  /** CPU time of all Sealift processes. */
  readonly sealiftCpuSeconds: number;
  /** CPU time that somebody used, and that there was, on the whole machine. */
  readonly busyCpuSeconds: number;
  readonly totalCpuSeconds: number;
}

/** A registry, a tracker with its seeder, a pull-through cache, and nodes with one light client each: hosts on shaped links. */
export class Deployment implements AsyncDisposable {
  readonly setting: Setting;
  readonly #cluster: Cluster;
  readonly #scope: Scope;
  readonly #nodes: NodeProcess[] = [];
  /** Who pushes and sends plain streams, by the host. */
  readonly #parties = new Map<string, Party>();
  /** Who pulls, by the node. */
  readonly #clients = new Map<string, Party>();
  #pullThrough = '';
  #tags = 0;
  #rates: LinkRates | undefined;

  private constructor(setting: Setting, cluster: Cluster, scope: Scope) {
    this.setting = setting;
    this.#cluster = cluster;
    this.#scope = scope;
  }

  static async start(
    setting: Setting,
    { scope, say, profile }: Pick<BenchmarkContext, 'scope' | 'say'> & { profile?: string | undefined },
  ): Promise<Deployment> {
    installMissingPackages({ say });
    demandParts([PYTHON], { say });
    // The testbed asks the system for a place.
    if (isWritable(MEMORY_DIRECTORY)) process.env['TMPDIR'] = MEMORY_DIRECTORY;
    const names = Array.from({ length: setting.nodes }, (_, index) => `n${index + 1}`);
    const env: Record<string, string> =
      profile === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${path.resolve(profile)}` };
    const cluster = await Cluster.start({ hosts: [PULL_THROUGH, ...names], tracker: { logLevel: 'info', env } });
    const deployment = new Deployment(setting, cluster, scope);
    try {
      await deployment.#startAll(names, say, env);
      return deployment;
    } catch (error) {
      await deployment[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Names of the nodes. */
  get nodes(): readonly string[] {
    return this.#nodes.map(({ host }) => host.name);
  }

  /** What a plain TCP stream reaches over each kind of link, measured once, before anything else ran. */
  get rates(): LinkRates {
    if (this.#rates === undefined) throw new Error('the links were not measured');
    return this.#rates;
  }

  /** Pushes an image of random layers, straight from the registry's own host. */
  async publish(layers: readonly number[] = this.setting.layers): Promise<PublishedImage> {
    this.#tags += 1;
    const tag = `r${this.#tags}`;
    const order: PushOrder = { ...this.#order('direct', 'registry', tag, 'ci'), layers };
    const { blobBytes } = await this.#party('registry').ask<Pushed>('push', order);
    return { tag, blobBytes };
  }

  /** Touches as much memory as the nodes are about to write, see {@link warmMemory}. */
  async warmMemory({ blobBytes }: PublishedImage): Promise<void> {
    await warmMemory(this.#scope.directory, (this.setting.nodes + 1) * blobBytes);
  }

  /** Lets the clients of `names` pull at the same moment. */
  async pull(way: Way, { tag }: PublishedImage, names: readonly string[] = this.nodes): Promise<Pulled[]> {
    const startAt = Date.now() + LEAD_MS;
    return await Promise.all(
      names.map(async (name) => {
        const trust = way === 'sealift' ? { trust: await this.#cluster.trustOf(name) } : {};
        const base = this.#order(way, name, tag, 'alice');
        const order: PullOrder = { ...base, ...withAuthority(trust, base), startAt };
        return await partyOn(name, this.#clients).ask<Pulled>('pull', order);
      }),
    );
  }

  async counters(): Promise<Counters> {
    const traffic = [...blobTraffic(await this.#cluster.registry.requests()).values()];
    const { busy, total } = machineSeconds();
    const processes = [this.#cluster.tracker.service, ...this.#nodes.map(({ service }) => service)];
    return {
      registryLogBytes: traffic.reduce((sum, { bytes }) => sum + bytes, 0),
      registryInterfaceBytes: sentBytes(this.#cluster.registry.service.pid),
      seederInterfaceBytes: sentBytes(this.#cluster.tracker.service.pid),
      sealiftCpuSeconds: processes.reduce((sum, { pid }) => sum + cpuSecondsOfTree(pid), 0),
      busyCpuSeconds: busy,
      totalCpuSeconds: total,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await Promise.all([...this.#parties.values(), ...this.#clients.values()].map((party) => party.stop()));
      await Promise.all(this.#nodes.map((node) => node.stop()));
    } finally {
      await this.#cluster.stop();
    }
  }

  async #startAll(names: readonly string[], say: (text: string) => void, env: Record<string, string>): Promise<void> {
    const start = (name: string, command: readonly string[]): Party =>
      Party.command(this.#scope, 'unshare', this.#host(name).enter(command));
    for (const name of ['registry', 'tracker', PULL_THROUGH, ...names.slice(0, 1)])
      this.#parties.set(name, start(name, [process.execPath, PARTY]));
    for (const name of names) this.#clients.set(name, start(name, [DEBIAN_PYTHON, LIGHT_CLIENT]));
    this.#rates = await this.#measureLinks(names[0] as string);
    const credentials = { username: 'alice', password: this.#cluster.tokens.user('alice').password };
    this.#pullThrough = await startPullThrough(this.#cluster, this.#host(PULL_THROUGH), credentials);
    const pending = names.values();
    const startSome = async (): Promise<void> => {
      for (const name of pending) await this.#startNode(name, name === names[0] ? env : {});
    };
    await Promise.all(Array.from({ length: CONCURRENT_STARTS }, startSome));
    await Promise.all(names.map((name) => this.#shape(name, this.setting.links.peerUp)));
    say(`${names.length} nodes are up`);
  }

  async #startNode(name: string, env: Record<string, string>): Promise<void> {
    const { registry, authority, upstream, joinToken: token } = this.#cluster;
    await this.#cluster.trust(name, registry.name, authority.certificate);
    const options = { registry: upstream, token, logLevel: 'info', env };
    this.#nodes.push(await NodeProcess.start(this.#host(name), options));
  }

  /** Shapes the links one after the other, so that each is the narrowest when a plain stream measures it. */
  async #measureLinks(node: string): Promise<LinkRates> {
    const { registryUp, seederUp, peerUp, peerDown }: Links = this.setting.links;
    await this.#shapeDown(node, peerDown);
    const down = await this.#stream('registry', node);
    await this.#shape('registry', registryUp);
    const registry = await this.#stream('registry', node);
    await this.#shape('tracker', seederUp);
    const seeder = await this.#stream('tracker', node);
    await this.#shape(PULL_THROUGH, peerUp);
    const peer = await this.#stream(PULL_THROUGH, node);
    return { registryUp: registry, seederUp: seeder, peerUp: peer, peerDown: down };
  }

  async #shape(name: string, up: number | undefined): Promise<void> {
    if (up !== undefined) await this.#cluster.testbed.network.shape(name, { up });
    if (name.startsWith('n')) await this.#shapeDown(name, this.setting.links.peerDown);
  }

  async #shapeDown(name: string, down: number | undefined): Promise<void> {
    if (down !== undefined) await this.#cluster.testbed.network.shape(name, { down });
  }

  async #stream(from: string, to: string): Promise<number> {
    const { address } = this.#host(to);
    const { port } = await this.#party(to).ask<{ port: number }>('receive', { host: address });
    await this.#party(from).ask('send', { host: address, port, seconds: STREAM_SECONDS });
    // The last bytes are counted when the sender knows of them already.
    await delay(50);
    return (await this.#party(to).ask<Streamed>('received')).bytesPerSecond;
  }

  #order(way: Way, _name: string, tag: string, user: string): ClientOrder {
    const base = { repository: REPOSITORY, tag, trust: [this.#cluster.authority.certificate] };
    if (way === 'pull-through') return { ...base, registry: this.#pullThrough };
    const credentials = { username: user, password: this.#cluster.tokens.user(user).password };
    return {
      ...base,
      registry: this.#cluster.registry.name,
      credentials,
      ...(way === 'sealift' ? { proxy: PROXY } : {}),
    };
  }

  #host(name: string): Host {
    return this.#cluster.testbed.network.host(name);
  }

  #party(name: string): Party {
    return partyOn(name, this.#parties);
  }
}

function partyOn(name: string, parties: ReadonlyMap<string, Party>): Party {
  const party = parties.get(name);
  if (party === undefined) throw new Error(`there is nobody on ${name}`);
  return party;
}

/** The token server is behind no proxy, so its authority is needed beside the node's own. */
function withAuthority({ trust }: { trust?: readonly string[] }, { trust: authority }: ClientOrder) {
  return trust === undefined ? {} : { trust: [...trust, ...authority] };
}

/** Bytes that `eth0` of the network namespace of `pid` has sent. */
function sentBytes(pid: number): number {
  const line = readFileSync(`/proc/${pid}/net/dev`, 'utf8')
    .split('\n')
    .find((text) => text.trim().startsWith('eth0:'));
  // Eight counters of what came in, then what went out (proc(5)).
  return Number(line?.split(':')[1]?.trim().split(/\s+/)[8]);
}

function machineSeconds(): { busy: number; total: number } {
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const used = times.user + times.nice + times.sys + times.irq;
    busy += used / 1000;
    total += (used + times.idle) / 1000;
  }
  return { busy, total };
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false; // Not there, or not ours.
  }
}
