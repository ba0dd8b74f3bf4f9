import { randomBytes, randomFillSync } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseRepository } from '@sealift/core';
import type { RegistryCount } from '../../packages/cli/src/demo/demo-result.ts';
import { LightClient } from '../../packages/cli/src/demo/light-client.ts';
import { LocalCluster, type LocalNode } from '../../packages/cli/src/demo/local-cluster.ts';
import { readNodeStatus } from '../../packages/cli/src/node-admin.ts';

const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';
/** Longest wait for anything of one scene, in ms: two cores may carry other suites as well. */
const TIMEOUT_MS = 60_000;

/** The process beside the front of a node, as `sealift status` shows it. */
export interface EngineState {
  readonly state: string;
  readonly pid: number | null;
  readonly restarts: number;
}

/** A registry with a slow uplink, a tracker and one node, all real processes, and a client that repeats nothing. */
export class KilledEngineScene {
  readonly #cluster: LocalCluster;
  readonly #directory: string;
  #tags = 0;

  private constructor(cluster: LocalCluster, directory: string) {
    this.#cluster = cluster;
    this.#directory = directory;
  }

  static async start({ registryRate }: { registryRate: number }): Promise<KilledEngineScene> {
    const directory = await mkdtemp(path.join(tmpdir(), 'sealift-chaos-'));
    const { signal } = new AbortController();
    const cluster = new LocalCluster({ directory, nodes: 1, registryRate, logLevel: 'info', signal });
    const scene = new KilledEngineScene(cluster, directory);
    try {
      await cluster.start();
      return scene;
    } catch (error) {
      await scene.stop();
      throw error;
    }
  }

  get node(): LocalNode {
    const [node] = this.#cluster.nodes;
    if (node === undefined) throw new Error('the cluster does not run');
    return node;
  }

  /** Publishes an image of one random layer that nobody has; answers with its tag and all its bytes. */
  async publish(layerBytes: number): Promise<{ tag: string; bytes: number }> {
    this.#tags += 1;
    const tag = `t${this.#tags}`;
    const layer = { mediaType: LAYER_TYPE, bytes: randomFillSync(Buffer.allocUnsafe(layerBytes)) };
    const config = Buffer.from(JSON.stringify({ seed: randomBytes(16).toString('hex') }));
    const client = await this.#client();
    await client.push(tag, { config, layers: [layer] }, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return { tag, bytes: layerBytes + config.length };
  }

  /** Pulls an image and checks its digests; each blob is one response. */
  async pull(tag: string, onBytes: (bytes: number) => void = () => {}): Promise<void> {
    const client = await this.#client();
    await client.pull(tag, { signal: AbortSignal.timeout(TIMEOUT_MS), onBytes });
  }

  async engine(): Promise<EngineState> {
    return (await readNodeStatus(this.node.data))['engine'] as EngineState;
  }

  /** Who the node is in the cluster. */
  async nodeId(): Promise<string> {
    return String((await readNodeStatus(this.node.data))['nodeId']);
  }

  /** Swarms that the engine takes part in. */
  async swarms(): Promise<number> {
    return ((await readNodeStatus(this.node.data))['peer'] as { swarms: number } | null)?.swarms ?? 0;
  }

  /** Asks the node to end, as a service manager would that signals the whole group. */
  async endNode(): Promise<void> {
    const engine = await this.engineRuns();
    const front = /^PPid:\s+(\d+)$/m.exec(await readFile(`/proc/${engine}/status`, 'latin1'))?.[1];
    for (const pid of [Number(front), engine]) process.kill(pid, 'SIGTERM');
  }

  /** The bytes that the node has served, by where they came from. */
  async served(): Promise<{ registry: number; peers: number; cache: number }> {
    return (await readNodeStatus(this.node.data))['bytes'] as { registry: number; peers: number; cache: number };
  }

  /** What the registry has sent, by its own count. */
  async atRegistry(): Promise<RegistryCount> {
    return await this.#cluster.countAtRegistry();
  }

  /** Waits until an engine runs; answers with its pid. */
  async engineRuns(): Promise<number> {
    for (const deadline = performance.now() + TIMEOUT_MS; performance.now() < deadline; await delay(50)) {
      const { state, pid } = await this.engine();
      if (state === 'running' && pid !== null) return pid;
    }
    throw new Error('the engine did not come back');
  }

  /** Ends the engine as the kernel would if memory ran out. */
  async killEngine(): Promise<void> {
    process.kill(await this.engineRuns(), 'SIGKILL');
  }

  /** The tracker's data directory. */
  get trackerData(): string {
    return path.join(this.#directory, 'tracker');
  }

  /** Does something again and again until a process has logged `count` lines of an event. */
  async untilLogged(event: string, count: number, name: string, work: () => Promise<void>): Promise<void> {
    for (const deadline = performance.now() + TIMEOUT_MS; performance.now() < deadline; await delay(1_000)) {
      if ((await this.logged(event, name)).length >= count) return;
      await work();
    }
    throw new Error(`no ${event} of ${name}`);
  }

  /** The lines that a process, by default the node, has logged of one event. */
  async logged(event: string, name = this.node.name): Promise<Record<string, unknown>[]> {
    const text = await readFile(path.join(this.#directory, `${name}.log`), 'utf8');
    // The last one may be half written.
    const lines = text.split('\n').slice(0, -1);
    // Every line is whole, whichever process it comes from.
    const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    return parsed.filter((line) => line['event'] === event);
  }

  /** Ends all processes and keeps their logs. */
  async end(): Promise<void> {
    await this.#cluster.stop();
  }

  async stop(): Promise<void> {
    await this.end();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #client(): Promise<LightClient> {
    const { registry, user } = this.#cluster;
    return new LightClient({
      route: { proxy: this.node.proxy, trustAnchors: await readFile(this.node.interceptCaFile, 'utf8') },
      registry: registry.host,
      repository: parseRepository('chaos/app'),
      credentials: user,
    });
  }
}
