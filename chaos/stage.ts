import { execFile } from 'node:child_process';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parseDigest } from '@sealift/core';
import { Party } from '../bench/harness/party.ts';
import { childrenOf } from '../bench/harness/process-usage.ts';
import type { Scope } from '../bench/harness/scope.ts';
import type { ClientOrder, Pushed } from '../bench/rollout/client-order.ts';
import { SeededRandom } from '../fuzz/random.ts';
import { readNodeStatus } from '../packages/cli/src/node-admin.ts';
import { blobTraffic } from '../test/testbed/access-log.ts';
import { Cluster } from '../test/testbed/cluster.ts';
import type { Host } from '../test/testbed/host.ts';
import type { NodeProcess } from '../test/testbed/sealift.ts';
import type { LogLine } from '../test/testbed/service.ts';
import { parseLogLine } from '../test/testbed/service.ts';
import type { Flooded, FloodOrder, Outcome, PullOrder, SeededPushOrder } from './client-party.ts';
import type { CrowdOrder } from './crowd-order.ts';
import { within } from './deadline.ts';
import { DockerClient } from './docker-client.ts';
import type { FaultRow, StageSetting } from './fault.ts';
import { PORTS, reset } from './faults/cut.ts';
import { FaultyFront } from './faulty-front.ts';

const run = promisify(execFile);
const CLIENT = path.join(import.meta.dirname, 'client-party.ts');
const REPOSITORY = 'team-a/app';
const PROXY = { host: '127.0.0.1', port: 3128 };
const UPLINK_MEGABITS = 60;
/** Longest time of one pull, in ms: dockerd's own patience with a blob that brings nothing. */
const PULL_TIMEOUT_MS = 75_000;
/** Longest wait for an answer of a client beyond what the question itself may take, in ms. */
const ANSWER_MS = 20_000;
/** Longest push of an image from the registry's own host, in ms. */
const PUSH_TIMEOUT_MS = 60_000;
/** Longest wait for an engine to be there again, in ms: the longest pause before it is started is 8 s. */
const ENGINE_TIMEOUT_MS = 40_000;
/** Longest time that something may take to be undone at the end, in ms. */
const RELEASE_TIMEOUT_MS = 60_000;
const ENGINE_LOOK_MS = 50;
/** Node processes that start at the same time: a start costs a second of CPU. */
const CONCURRENT_STARTS = 2;
const MIB = 1024 * 1024;
const LAYERS = [12 * MIB, 8 * MIB, 300_000];

/** An image that was published for a fault. */
export interface StageImage extends Pushed {
  readonly tag: string;
  /** What the layers are made of, where a client of ours compares. */
  readonly content: PullOrder['content'];
}

/**
 * Where a fault is played: a registry, a tracker and nodes on hosts of their own, with a light client on each node. It
 * remembers what the clients saw.
 */
export class Stage implements AsyncDisposable {
  readonly cluster: Cluster;
  /** Present where the setting asks for it. */
  readonly front: FaultyFront | undefined;
  /** The same seed gives the same run, as far as the order of events depends on us. */
  readonly random: SeededRandom;
  readonly #scope: Scope;
  readonly #setting: StageSetting;
  readonly #clients = new Map<string, Party>();
  readonly #dockers = new Map<string, DockerClient>();
  readonly #nodes = new Map<string, NodeProcess>();
  /** The last order of each client, which takes a look at its trust anchors. */
  readonly #preparing = new Map<string, Promise<ClientOrder>>();
  readonly #images: StageImage[] = [];
  readonly #outcomes: Outcome[] = [];
  readonly #problems: string[] = [];
  readonly #figures: Record<string, number> = {};
  readonly #releases: (() => Promise<unknown>)[] = [];

  private constructor(o: {
    cluster: Cluster;
    front: FaultyFront | undefined;
    scope: Scope;
    setting: StageSetting;
    random: SeededRandom;
  }) {
    this.cluster = o.cluster;
    this.front = o.front;
    this.random = o.random;
    this.#scope = o.scope;
    this.#setting = o.setting;
  }

  static async start(
    setting: StageSetting & { readonly nodes: number },
    { scope, seed }: { scope: Scope; seed: number },
  ): Promise<Stage> {
    const names = Array.from({ length: setting.nodes }, (_, index) => `n${index + 1}`);
    const { tracker = {} } = setting;
    const cluster = await Cluster.start({ hosts: names, tracker: { logLevel: 'debug', ...tracker } });
    try {
      const front = setting.hasFaultyFront === true ? await FaultyFront.start(scope, cluster) : undefined;
      const stage = new Stage({ cluster, front, scope, setting, random: new SeededRandom(seed) });
      for (const name of ['registry', ...names]) stage.#addClient(name);
      const pending = names.values();
      const startSome = async (): Promise<void> => {
        for (const name of pending) await stage.startNode(name);
      };
      await Promise.all(Array.from({ length: CONCURRENT_STARTS }, startSome));
      await cluster.testbed.network.shape('registry', { up: setting.uplinkMegabits ?? UPLINK_MEGABITS });
      return stage;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  /** Names of all nodes, whether they run or not. */
  get names(): readonly string[] {
    return [...this.#clients.keys()].filter((name) => name !== 'registry');
  }

  host(name: string): Host {
    return this.cluster.testbed.network.host(name);
  }

  node(name: string): NodeProcess {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new Error(`no node runs on ${name}`);
    return node;
  }

  /** Starts a node, or starts it again on the data that it left. */
  async startNode(name: string): Promise<void> {
    const options = { logLevel: 'debug', ...this.#setting.node };
    if (this.#setting.hasDocker === true && !this.#dockers.has(name)) {
      const { sealift: node, docker } = await this.cluster.startNode(name, options);
      this.#nodes.set(name, node);
      this.#dockers.set(name, new DockerClient(docker));
    } else this.#nodes.set(name, await this.cluster.startLightNode(name, options));
  }

  /** Who starts processes of its own for this stage. */
  get scope(): Scope {
    return this.#scope;
  }

  /** What a crowd of peers needs to know of the cluster. */
  crowdOrder({ layers }: StageImage): Omit<CrowdOrder, 'peers' | 'kind'> {
    const { joinToken, registry, tracker } = this.cluster;
    return {
      tracker: joinToken.tracker,
      joinTokenFile: joinToken.tokenFile,
      host: tracker.host.address,
      seederPort: PORTS.seeder,
      registry: registry.name,
      repository: REPOSITORY,
      digests: layers,
      authorization: `Bearer ${this.cluster.mint('alice', REPOSITORY)}`,
    };
  }

  /** Publishes an image of random bytes, straight from the registry's own host. */
  async publish(layers: readonly number[] = LAYERS): Promise<StageImage> {
    const tag = `r${this.#images.length + 1}`;
    if (this.#setting.hasDocker === true) return await this.#publishForDocker(layers, tag);
    const trust = [this.cluster.authority.certificate];
    // Unlike those of any other run: what a node already holds is no test of anything.
    const contentSeeds = layers.map((_, layer) => `${this.cluster.testbed.name}/${tag}/${layer}`);
    const order: SeededPushOrder = { ...this.#order(tag, 'ci'), trust, layers, contentSeeds };
    const pushing = this.#client('registry').ask<Pushed>('push', order);
    const pushed = await within(PUSH_TIMEOUT_MS, `the push of ${tag}`, pushing);
    const content = pushed.layers.map((digest, layer) => ({ digest, seed: contentSeeds[layer] ?? '' }));
    const image = { ...pushed, tag, content };
    this.#images.push(image);
    return image;
  }

  /**
   * Publishes an image and lets all nodes pull it; resolves when the first of them has some of it, by the seed, and something
   * may break. Whoever breaks it waits for `pulls`.
   */
  async midPull(): Promise<{ image: StageImage; pulls: Promise<readonly Outcome[]> }> {
    const image = await this.publish();
    const pulls = this.pull(image);
    await this.reached(this.names[0] ?? '', this.someByteOf(image));
    return { image, pulls };
  }

  /** Lets the clients of `names` pull at the same time. Never rejects for what becomes of a pull: the row will show it. */
  async pull(
    image: StageImage,
    names: readonly string[] = this.names,
    options: { timeoutMs?: number } = {},
  ): Promise<readonly Outcome[]> {
    const outcomes = await Promise.all(names.map((name) => this.attempt(image, name, options)));
    this.#outcomes.push(...outcomes);
    this.expectTrueBytes(outcomes);
    return outcomes;
  }

  /** No client was given a false byte, be it in a body that was cut off later. */
  expectTrueBytes(outcomes: readonly Outcome[]): void {
    this.expect(!outcomes.some(({ hasFalseBytes }) => hasFalseBytes), 'a client was given false bytes');
  }

  /** A pull that may fail, because its own node is what breaks: it does not count. */
  async attempt(
    { tag, content }: StageImage,
    name: string,
    { timeoutMs = PULL_TIMEOUT_MS }: { timeoutMs?: number } = {},
  ): Promise<Outcome> {
    const docker = this.#dockers.get(name);
    if (docker !== undefined) {
      const registryToken = this.cluster.mint('alice', REPOSITORY);
      const image = `${this.cluster.registry.name}/${REPOSITORY}`;
      return await docker.pull({ image, tag, registryToken, timeoutMs });
    }
    const preparing = this.#nodeOrder(name, tag);
    this.#preparing.set(name, preparing);
    const order: PullOrder = { ...(await preparing), timeoutMs, content };
    const pulling = this.#client(name).ask<Outcome>('pull', order);
    return await within(timeoutMs + ANSWER_MS, `the pull of ${tag} on ${name}`, pulling);
  }

  /** Lets the fault last for a while. */
  async pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#scope.signal });
  }

  /** Makes the tracker's API unreachable, open connections included; its seeder goes on. */
  async silenceTracker(): Promise<void> {
    await reset(this.host('tracker'), PORTS.tracker);
  }

  /** Mounts something that goes with the stage; the last argument is where. */
  async mount(args: readonly string[]): Promise<void> {
    await run('mount', [...args]);
    const target = args.at(-1) ?? '';
    // Those who were started on it may still be about to end.
    this.defer(() => run('umount', ['--lazy', target]));
  }

  /** Changes a mount of {@link mount}. */
  async remount(directory: string, mode: 'ro' | 'rw'): Promise<void> {
    await run('mount', ['-o', `remount,${mode}`, directory]);
  }

  /** The processes that a node has started: its engine, if it runs right now. */
  enginePids(name: string): readonly number[] {
    return childrenOf(this.node(name).service.pid);
  }

  /** Waits until a node shares again after its engine was ended, or hung. */
  async engineRuns(name: string): Promise<void> {
    const { data } = this.node(name);
    const waiting = new AbortController();
    const untilRunning = async (): Promise<void> => {
      while (!waiting.signal.aborted) {
        const said = (await readNodeStatus(data)) as { engine: { state: string }; nodeId: string | null };
        // Its own word, beside that of its front.
        if (said.engine.state === 'running' && said.nodeId !== null) return;
        await this.pause(ENGINE_LOOK_MS);
      }
    };
    try {
      await within(ENGINE_TIMEOUT_MS, `the engine on ${name} to run`, untilRunning());
    } finally {
      waiting.abort();
    }
  }

  /** Pulls that have ended. */
  get pulls(): number {
    return this.#outcomes.length;
  }

  /** Waits until the running pulls of a node have brought so many bytes; demands that they still run then. */
  async reached(name: string, bytes: number): Promise<void> {
    const isInTime = await this.isReached(name, bytes);
    this.expect(isInTime, `the pull on ${name} was over before the fault could strike`);
  }

  /** Waits until the running pulls of a node have brought so many bytes; `false` if they were over before. */
  async isReached(name: string, bytes: number): Promise<boolean> {
    // The order itself is sent by who has waited for it longer.
    await this.#preparing.get(name);
    const reaching =
      this.#dockers.get(name)?.reached(bytes) ??
      this.#client(name).ask<boolean>('reached', { bytes: Math.floor(bytes) });
    return await within(PULL_TIMEOUT_MS + ANSWER_MS, `${bytes} bytes of the pull on ${name}`, reaching);
  }

  /** A byte between a tenth and a half of the image, by the seed. */
  someByteOf({ blobBytes }: StageImage): number {
    return Math.floor(blobBytes * 0.1) + this.random.below(Math.floor(blobBytes * 0.4));
  }

  /** Requests the first layer of the image many times at once, each of which counts as a pull. */
  async flood({ tag, layers }: StageImage, name: string, requests: number): Promise<Flooded> {
    const [digest] = layers;
    if (digest === undefined) throw new Error('the image has no layer');
    const content: FloodOrder['content'] = [];
    const [base, timeoutMs] = [await this.#nodeOrder(name, tag), PULL_TIMEOUT_MS];
    const order: FloodOrder = { ...base, timeoutMs, content, digest, requests };
    const flooding = this.#client(name).ask<Flooded>('flood', order);
    const flooded = await within(timeoutMs + ANSWER_MS, `${requests} requests on ${name}`, flooding);
    const seconds = (flooded.latenciesMs.at(-1) ?? 0) / 1000;
    const add = (count: number, outcome: Partial<Outcome>): void => {
      for (let index = 0; index < count; index += 1) {
        this.#outcomes.push({ seconds, bytes: 0, isWrong: false, hasFalseBytes: false, ...outcome });
      }
    };
    add(flooded.latenciesMs.length - flooded.wrong, {});
    add(flooded.wrong, { isWrong: true, error: 'wrong digest' });
    add(flooded.failed, { error: flooded.errors.join('; ') });
    return flooded;
  }

  /** Something that must be true besides the pulls. */
  expect(isTrue: boolean, what: string): void {
    if (!isTrue) this.#problems.push(what);
  }

  /** What should have been true and was not, failed pulls included. */
  get problems(): readonly string[] {
    const errors = this.#outcomes.flatMap(({ error }) => (error === undefined ? [] : [error]));
    return [...this.#problems, ...errors];
  }

  /** A number for the row. */
  note(name: string, value: number): void {
    this.#figures[name] = Math.round(value * 1000) / 1000;
  }

  /** Something to undo at the end, the last first. */
  defer(release: () => Promise<unknown>): void {
    this.#releases.push(release);
  }

  /** Log lines of an event that a node has written since it was started. */
  logged(name: string, event: string): readonly LogLine[] {
    return this.node(name)
      .service.lines.map(parseLogLine)
      .filter((line) => line?.event === event) as LogLine[];
  }

  /** Blob bytes that left the registry beyond one copy of each image that anybody has pulled. */
  async extraRegistryBytes(): Promise<number> {
    const sent = this.front === undefined ? await this.#loggedTraffic() : await this.front.sent();
    let extra = 0;
    for (const image of this.#images) {
      const bytes = image.blobs.reduce((sum, digest) => sum + (sent.get(digest) ?? 0), 0);
      // A flood asks for one blob of an image only.
      extra += Math.max(0, bytes - image.blobBytes);
    }
    return extra;
  }

  async row(fault: string): Promise<FaultRow> {
    return {
      fault,
      pulls: this.#outcomes.length,
      failed: this.#outcomes.filter(({ error }) => error !== undefined).length,
      digestsRight: this.#outcomes.every(({ isWrong }) => !isWrong),
      extraRegistryBytes: await this.extraRegistryBytes(),
      slowestSeconds: Math.round(Math.max(0, ...this.#outcomes.map(({ seconds }) => seconds)) * 10) / 10,
      figures: this.#figures,
      problems: [...new Set(this.problems)],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      for (const release of this.#releases.reverse())
        await within(RELEASE_TIMEOUT_MS, 'something to be undone', release());
      await Promise.all([...this.#clients.values()].map((client) => client.stop()));
    } finally {
      await this.cluster.stop();
    }
  }

  /** dockerd unpacks what it pulls, so it must be a real image; its tag is always the same. */
  async #publishForDocker(layerBytes: readonly number[], seed: string): Promise<StageImage> {
    const { config, layers } = await this.cluster.publish(REPOSITORY, { seed, layerBytes });
    const blobs = [...layers, config];
    const image: StageImage = {
      tag: '1',
      blobBytes: blobs.reduce((sum, { size }) => sum + size, 0),
      layers: layers.map(({ digest }) => parseDigest(digest)),
      content: [],
      blobs: blobs.map(({ digest }) => parseDigest(digest)),
    };
    this.#images.push(image);
    return image;
  }

  async #loggedTraffic(): Promise<ReadonlyMap<string, number>> {
    const traffic = blobTraffic(await this.cluster.registry.requests());
    return new Map([...traffic].map(([digest, { bytes }]) => [digest, bytes]));
  }

  #addClient(name: string): void {
    const command = this.host(name).enter([process.execPath, CLIENT]);
    this.#clients.set(name, Party.command(this.#scope, 'unshare', command));
  }

  #client(name: string): Party {
    const client = this.#clients.get(name);
    if (client === undefined) throw new Error(`there is no client on ${name}`);
    return client;
  }

  #order(tag: string, user: string): Omit<ClientOrder, 'trust'> {
    const credentials = { username: user, password: this.cluster.tokens.user(user).password };
    return { repository: REPOSITORY, tag, registry: this.cluster.registry.name, credentials };
  }

  async #nodeOrder(name: string, tag: string): Promise<ClientOrder> {
    // The token server is behind no proxy, so its authority is needed beside the node's own.
    const trust = [...(await this.cluster.trustOf(name)), this.cluster.authority.certificate];
    return { ...this.#order(tag, 'alice'), trust, proxy: PROXY };
  }
}
