import { parseClusterId, parseDigest, parseNodeId, parseRegistryHost, pieceGeometry, swarmIdOf } from '@sealift/core';
import { HASH_BATCH_BYTES, hashBatchPauseMs } from '../../packages/peer/src/ingest.ts';
import { DEFAULT_LIMITS } from '../../packages/peer/src/limits.ts';
import { seededRandom } from '../../packages/peer/src/random.ts';
import { Handout } from '../../packages/tracker/src/swarm/handout.ts';
import { SwarmTable } from '../../packages/tracker/src/swarm/swarm-table.ts';
import { EventQueue } from './event-queue.ts';
import { SimNode } from './sim-node.ts';
import { SCALE, type World } from './world.ts';

const MBIT = 1e6 / 8;
/** Peers in one answer of the tracker, as in production. */
const MAX_HANDOUT = 50;
/** From the start of all to the first byte of the registry, in ms: a join, a HEAD, a GET. */
const REGISTRY_DELAY_MS = 30;
/** A run that takes so many times its limit has failed. */
const MAX_RATIO = 20;
/** One way, inside of a site and between two, in ms. */
const LATENCY_MS = { near: 0.25, far: 2 };

/** What is simulated. Rates in Mbit/s, shares of the nodes. */
export interface SimSetting {
  readonly nodes: number;
  readonly registryUp: number;
  readonly seederUp: number;
  readonly peerUp: number;
  readonly peerDown: number;
  readonly sizeBytes: number;
  readonly pieceLength: number;
  /** Places with a longer way between them. */
  readonly sites: number;
  /** Nodes with links of half the rate. */
  readonly stragglers: number;
  /** Nodes that vanish in the middle, and as many that come in the middle. */
  readonly churn: number;
  readonly seed: number;
}

/** One node that came to its end. */
export interface SimFinish {
  /** From its start to its last piece, in seconds. */
  readonly seconds: number;
  /** The shortest time that its own link and all others allow. */
  readonly limitSeconds: number;
}

/** What came of it. */
export interface SimResult {
  readonly finishes: readonly SimFinish[];
  /** For a node with links of the common rate that was there from the start. */
  readonly limitSeconds: number;
  /** Nodes that did not come to an end in time. */
  readonly unfinished: number;
  readonly messagesPerNode: number;
  readonly trackerRequestsPerNode: number;
  readonly dialsPerNode: number;
  /** Share of the batches that came twice. */
  readonly wasted: number;
  /** Copies of the blob that left the seeder. */
  readonly seederCopies: number;
}

interface Plan {
  readonly node: SimNode;
  readonly joinsAt: number;
  readonly vanishesAt: number | undefined;
  readonly limitSeconds: number;
}

/** Rolls one blob out to all nodes at the same moment. The same setting gives the same result. */
export function simulate(setting: SimSetting): SimResult {
  const random = seededRandom(setting.seed);
  const queue = new EventQueue({ delays: [LATENCY_MS.near, LATENCY_MS.far, DEFAULT_LIMITS.tickMs] });
  const realGeometry = pieceGeometry(setting.sizeBytes, setting.pieceLength);
  const geometry = pieceGeometry(Math.ceil(setting.sizeBytes / SCALE), realGeometry.pieceLength / SCALE);
  const tracker = new SimTracker(queue, random);
  let left = 0;
  const world: World = {
    queue,
    random,
    geometry,
    realGeometry,
    buffer: new ArrayBuffer(geometry.pieceLength),
    latencyMs: LATENCY_MS,
    announce: (node) => tracker.announce(node, seeder),
    finished: () => {
      left -= 1;
    },
    get isOver() {
      return left === 0;
    },
  };
  const seeder = newNode(world, setting, { name: 'seeder', site: 0, up: setting.seederUp, isSeeder: true });
  const plans = makePlans(world, setting);
  left = plans.filter(({ vanishesAt }) => vanishesAt === undefined).length;
  for (const plan of plans) schedule(queue, plan);
  seeder.start();
  scheduleIngest(queue, setting, { geometry: realGeometry, seeder });
  const limit = limitOf(setting, setting.peerDown);
  while (left > 0 && queue.now() < limit * 1000 * MAX_RATIO && queue.step());
  return summarize(plans, { seeder, limit, geometry });
}

/** As in `SwarmTable` and the announce route: the seeder first, then a random choice of the swarm. */
class SimTracker {
  readonly #table: SwarmTable;
  readonly #nodes = new Map<string, SimNode>();
  readonly #swarmId = swarmIdOf(
    parseClusterId('sim'),
    parseRegistryHost('registry.sim'),
    parseDigest(`sha256:${'0'.repeat(64)}`),
  );

  constructor(clock: EventQueue, random: () => number) {
    const handout = new Handout({ random, maxPeers: MAX_HANDOUT });
    this.#table = new SwarmTable({ clock, handout, intervalMs: 30_000 });
  }

  announce(node: SimNode, seeder: SimNode): readonly SimNode[] {
    this.#nodes.set(node.id, node);
    const { peers } = this.#table.announce({
      swarmId: this.#swarmId,
      nodeId: node.id,
      host: '192.0.2.1',
      port: 1,
      isComplete: node.held.isFull,
      isStopped: false,
      wanted: node.held.isFull ? 0 : MAX_HANDOUT,
    });
    const known = peers.flatMap(({ nodeId }) => this.#nodes.get(nodeId) ?? []);
    return node.held.isFull ? known : [seeder, ...known];
  }
}

function newNode(
  world: World,
  { peerDown }: SimSetting,
  {
    name,
    site,
    up,
    down = peerDown,
    isSeeder = false,
  }: { name: string; site: number; up: number; down?: number; isSeeder?: boolean },
): SimNode {
  const scaled = (mbit: number): number => (mbit * MBIT) / 1000 / SCALE;
  const options = { id: parseNodeId(name), site, upBytesPerMs: scaled(up), downBytesPerMs: scaled(down), isSeeder };
  return new SimNode(world, options);
}

function makePlans(world: World, setting: SimSetting): Plan[] {
  const { nodes, sites, stragglers, churn, peerUp, peerDown, sizeBytes } = setting;
  const commonLimit = limitOf(setting, peerDown);
  return Array.from({ length: nodes }, (_, index) => {
    const isStraggler = world.random() < stragglers;
    const [up, down] = isStraggler ? [peerUp / 2, peerDown / 2] : [peerUp, peerDown];
    const node = newNode(world, setting, { name: `node-${index}`, site: index % sites, up, down });
    // The same number of each, spread over the sites.
    const fate = (index + 0.5) / nodes;
    const middle = world.random() * commonLimit;
    const limit = limitOf(setting, down);
    if (fate < churn) return { node, joinsAt: 0, vanishesAt: middle * 1000, limitSeconds: limit };
    if (fate > 1 - churn) {
      // What is still to be read of the registry, and no less than its own link needs.
      const limitSeconds = Math.max(limit - middle, sizeBytes / (down * MBIT));
      return { node, joinsAt: middle * 1000, vanishesAt: undefined, limitSeconds };
    }
    return { node, joinsAt: 0, vanishesAt: undefined, limitSeconds: limit };
  });
}

function schedule(queue: EventQueue, { node, joinsAt, vanishesAt }: Plan): void {
  queue.at(joinsAt, () => node.start());
  if (vanishesAt !== undefined) queue.at(vanishesAt, () => node.vanish());
}

/** Pieces count once their hash is signed: the first at once, then batch by batch as in `SwarmIngest`, the rest at the end. */
function scheduleIngest(
  queue: EventQueue,
  { registryUp, sizeBytes, nodes }: SimSetting,
  { geometry, seeder }: { geometry: { pieceLength: number; pieceCount: number }; seeder: SimNode },
): void {
  const { pieceLength, pieceCount } = geometry;
  const bytesPerMs = (registryUp * MBIT) / 1000;
  const readAt = (index: number): number => Math.min((index + 1) * pieceLength, sizeBytes) / bytesPerMs;
  let signedAt = Number.NEGATIVE_INFINITY;
  for (let first = 0; first < pieceCount; ) {
    const dueAt = Math.min(
      signedAt + hashBatchPauseMs(nodes),
      readAt(first) + (HASH_BATCH_BYTES - pieceLength) / bytesPerMs,
    );
    signedAt = Math.min(Math.max(dueAt, readAt(first)), readAt(pieceCount - 1));
    for (; first < pieceCount && readAt(first) <= signedAt; first += 1) {
      const index = first;
      queue.at(REGISTRY_DELAY_MS + signedAt, () => seeder.ingested(index));
    }
  }
}

/** The physical limit of docs/performance.md, for a node with this downlink. */
function limitOf({ nodes, registryUp, seederUp, peerUp, sizeBytes, stragglers }: SimSetting, peerDown: number): number {
  const allUp = nodes * peerUp * (1 - stragglers / 2);
  return Math.max(
    sizeBytes / (registryUp * MBIT),
    sizeBytes / (seederUp * MBIT),
    sizeBytes / (peerDown * MBIT),
    nodes === 1 ? 0 : (nodes * sizeBytes) / ((seederUp + allUp) * MBIT),
  );
}

function summarize(
  plans: readonly Plan[],
  { seeder, limit, geometry }: { seeder: SimNode; limit: number; geometry: { size: number } },
): SimResult {
  const stayed = plans.filter(({ vanishesAt }) => vanishesAt === undefined);
  const finishes = stayed.flatMap(({ node, limitSeconds }) =>
    node.finishedAt === undefined ? [] : [{ seconds: (node.finishedAt - node.joinedAt) / 1000, limitSeconds }],
  );
  const perNode = (of: (node: SimNode) => number): number =>
    plans.reduce((sum, { node }) => sum + of(node), 0) / plans.length;
  const blocks = perNode(({ messages }) => messages.blocks);
  return {
    finishes,
    limitSeconds: limit,
    unfinished: stayed.length - finishes.length,
    messagesPerNode: perNode(
      ({ messages: { haves, interest, chokes, requests } }) => haves + interest + chokes + requests,
    ),
    trackerRequestsPerNode: perNode(({ trackerRequests }) => trackerRequests),
    dialsPerNode: perNode(({ messages }) => messages.dials),
    wasted: perNode(({ messages }) => messages.wasted) / blocks,
    seederCopies: seeder.uplink.sentBytes / geometry.size,
  };
}
