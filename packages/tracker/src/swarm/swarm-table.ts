import type { Clock, NodeId, SwarmId } from '@sealift/core';
import type { Handout } from './handout.ts';
import { Swarm, type SwarmPeer } from './swarm.ts';

/** How long an entry stands, in intervals until its next announce: one may get lost. */
const LIFETIME_INTERVALS = 2.5;
/** Until the next announce of who has all and finds no place in the table, in ms: nobody is sent to it meanwhile. */
const UNLISTED_INTERVAL_MS = 600_000;

/** Calls of `expire` within which each entry is looked at: all 400,000 at once would hold everybody up for tens of ms. */
const EXPIRE_ROUNDS = 12;

/** Bounds of the table. Each entry costs about 300 bytes of memory. */
export interface SwarmTableLimits {
  /** Peers in one swarm: twice the largest cluster that we plan for. */
  readonly maxPeersPerSwarm: number;
  /** Entries of one node: about one for each blob that a store of default size holds. */
  readonly maxSwarmsPerNode: number;
  /** Entries in all: 10,000 nodes with the layers of some images each, about 100 MB. */
  readonly maxPeers: number;
  /** Announces of one node a second, of the blobs that it has whole: some per cent of a core, and a node has other work. */
  readonly announcesPerNode: number;
  /** The same of all nodes together: less than half of what a tracker can answer. Past either, intervals grow. */
  readonly announcesPerSecond: number;
}

/** Defaults of {@link SwarmTableLimits}. */
export const SWARM_TABLE_LIMITS: SwarmTableLimits = {
  maxPeersPerSwarm: 20_000,
  maxSwarmsPerNode: 10_000,
  maxPeers: 400_000,
  announcesPerNode: 20,
  announcesPerSecond: 2_000,
};

/** An announce that was authorized. Everything in it was checked; `nodeId` is the certificate's. */
export interface Announce {
  readonly swarmId: SwarmId;
  readonly nodeId: NodeId;
  readonly host: string;
  readonly port: number;
  readonly zone?: string | undefined;
  /** Whether the node has the whole blob. */
  readonly isComplete: boolean;
  readonly isStopped: boolean;
  /** Peers asked for. */
  readonly wanted: number;
}

/** What the swarm looks like to the asker. */
export interface AnnounceResult {
  readonly complete: number;
  readonly incomplete: number;
  readonly peers: readonly SwarmPeer[];
  /** The asker is one of the few of its zone that fetch from other zones. */
  readonly mayCross: boolean;
  /** Until its next announce. */
  readonly intervalMs: number;
}

/** Who is in which swarm. Soft state: after a restart it fills again from announces. Pure; `expire` is called by its owner. */
export class SwarmTable {
  readonly #swarms = new Map<SwarmId, Swarm>();
  readonly #entriesOf = new Map<NodeId, number>();
  readonly #limits: SwarmTableLimits;
  readonly #intervalMs: number;
  readonly #handout: Handout;
  readonly #clock: Clock;
  #size = 0;
  #expireRound = 0;

  /** `intervalMs` is the shortest time between two announces of an entry. */
  constructor({
    clock,
    handout,
    intervalMs,
    limits = SWARM_TABLE_LIMITS,
  }: {
    clock: Clock;
    handout: Handout;
    intervalMs: number;
    limits?: SwarmTableLimits;
  }) {
    this.#clock = clock;
    this.#handout = handout;
    this.#intervalMs = intervalMs;
    this.#limits = limits;
  }

  /** Entries in all swarms. */
  get size(): number {
    return this.#size;
  }

  get swarmCount(): number {
    return this.#swarms.size;
  }

  /** Takes one announce. A table that is full still answers; it only does not list the asker, which harms nobody else. */
  announce(announce: Announce): AnnounceResult {
    const now = this.#clock.now();
    const { swarmId, nodeId } = announce;
    this.#expireSwarm(swarmId, now);
    const interval = this.#intervalOf(announce);
    if (announce.isStopped) {
      this.#remove(swarmId, nodeId);
      return { ...this.countsOf(swarmId), peers: [], mayCross: false, intervalMs: interval };
    }
    const asker = this.#place(announce, now + interval * LIFETIME_INTERVALS);
    const isUseless = asker === undefined && announce.isComplete;
    const intervalMs = isUseless ? Math.max(interval, UNLISTED_INTERVAL_MS) : interval;
    const swarm = this.#swarms.get(swarmId);
    if (swarm === undefined) return { complete: 0, incomplete: 0, peers: [], mayCross: true, intervalMs };
    const candidates = announce.isComplete ? swarm.leechers : swarm.all;
    // Who has all looks for those who have not, wherever they are; it asks nobody for anything.
    const zone = announce.isComplete || announce.zone === undefined ? undefined : swarm.zone(announce.zone);
    return {
      complete: swarm.complete,
      incomplete: swarm.incomplete,
      peers: this.#handout.pick(candidates, { wanted: announce.wanted, asker, zone }),
      mayCross: zone === undefined || (asker !== undefined && zone.gateways.has(asker)),
      intervalMs,
    };
  }

  /** What a swarm looks like to somebody who is not going to be listed in it. */
  peek({
    swarmId,
    isComplete,
    wanted,
  }: Pick<Announce, 'swarmId' | 'isComplete' | 'wanted'>): Omit<AnnounceResult, 'mayCross' | 'intervalMs'> {
    this.#expireSwarm(swarmId, this.#clock.now());
    const swarm = this.#swarms.get(swarmId);
    if (swarm === undefined) return { complete: 0, incomplete: 0, peers: [] };
    const candidates = isComplete ? swarm.leechers : swarm.all;
    const peers = this.#handout.pick(candidates, { wanted, asker: undefined, zone: undefined });
    return { complete: swarm.complete, incomplete: swarm.incomplete, peers };
  }

  countsOf(swarmId: SwarmId): { complete: number; incomplete: number } {
    const swarm = this.#swarms.get(swarmId);
    return { complete: swarm?.complete ?? 0, incomplete: swarm?.incomplete ?? 0 };
  }

  /** Forgets who has been silent for too long, some of them within twelve calls only, and swarms that are empty. */
  expire(): void {
    const now = this.#clock.now();
    this.#expireRound = (this.#expireRound + 1) % EXPIRE_ROUNDS;
    let place = 0;
    for (const swarmId of this.#swarms.keys()) {
      this.#expireSwarm(swarmId, now, { isThorough: place % EXPIRE_ROUNDS === this.#expireRound });
      place += 1;
    }
  }

  /** Takes a node out of every swarm, so that nobody is sent to it any more. */
  removeNode(nodeId: NodeId): void {
    if (!this.#entriesOf.has(nodeId)) return;
    for (const swarmId of this.#swarms.keys()) this.#remove(swarmId, nodeId);
  }

  /** The first `limit` swarms with their counts. */
  list(limit: number): { swarmId: SwarmId; complete: number; incomplete: number }[] {
    const listed: { swarmId: SwarmId; complete: number; incomplete: number }[] = [];
    for (const [swarmId, swarm] of this.#swarms) {
      if (listed.length >= limit) break;
      listed.push({ swarmId, complete: swarm.complete, incomplete: swarm.incomplete });
    }
    return listed;
  }

  /**
   * Whoever has a blob whole needs nobody, so a node with many of them is asked to announce each less often: the node itself
   * is heard as often as before.
   */
  #intervalOf({ nodeId, isComplete }: Announce): number {
    if (!isComplete) return this.#intervalMs;
    const { announcesPerNode, announcesPerSecond } = this.#limits;
    const paceMs = 1_000 * Math.max(1 / announcesPerNode, this.#entriesOf.size / announcesPerSecond);
    return Math.max(this.#intervalMs, (this.#entriesOf.get(nodeId) ?? 0) * paceMs);
  }

  #place(announce: Announce, expiresAt: number): SwarmPeer | undefined {
    const { swarmId, nodeId, host, port, zone, isComplete, wanted } = announce;
    const swarm = this.#swarms.get(swarmId);
    const known = swarm?.get(nodeId);
    const isKnown = known !== undefined;
    if (!isKnown && !this.#hasRoom(swarm, nodeId)) return undefined;
    if (swarm !== undefined && isKnown && isSame(known, announce)) {
      // The same object, so that whatever was worked out for it still holds.
      swarm.renew(known, { expiresAt, isSeeking: wanted > 0 });
      return known;
    }
    const peer = { nodeId, host, port, zone, isComplete, expiresAt, encoded: undefined };
    if (swarm === undefined) {
      const created = new Swarm();
      created.put(peer, { isSeeking: wanted > 0 });
      this.#swarms.set(swarmId, created);
    } else {
      swarm.put(peer, { isSeeking: wanted > 0 });
    }
    if (!isKnown) this.#count(nodeId, 1);
    return peer;
  }

  #hasRoom(swarm: Swarm | undefined, nodeId: NodeId): boolean {
    return (
      this.#size < this.#limits.maxPeers &&
      (swarm?.size ?? 0) < this.#limits.maxPeersPerSwarm &&
      (this.#entriesOf.get(nodeId) ?? 0) < this.#limits.maxSwarmsPerNode
    );
  }

  #remove(swarmId: SwarmId, nodeId: NodeId): void {
    const swarm = this.#swarms.get(swarmId);
    if (swarm === undefined || !swarm.delete(nodeId)) return;
    this.#count(nodeId, -1);
    if (swarm.size === 0) this.#swarms.delete(swarmId);
  }

  #expireSwarm(swarmId: SwarmId, now: number, options: { isThorough?: boolean } = {}): void {
    const swarm = this.#swarms.get(swarmId);
    if (swarm === undefined) return;
    for (const nodeId of swarm.expire(now, options)) this.#count(nodeId, -1);
    if (swarm.size === 0) this.#swarms.delete(swarmId);
  }

  #count(nodeId: NodeId, change: 1 | -1): void {
    this.#size += change;
    const entries = (this.#entriesOf.get(nodeId) ?? 0) + change;
    if (entries === 0) this.#entriesOf.delete(nodeId);
    else this.#entriesOf.set(nodeId, entries);
  }
}

function isSame(a: SwarmPeer, b: Announce): boolean {
  return a.host === b.host && a.port === b.port && a.zone === b.zone && a.isComplete === b.isComplete;
}
