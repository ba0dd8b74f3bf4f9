import type { Bitfield, Clock, NodeId } from '@sealift/core';

/** How long a peer's word holds that it is fetching a piece, in ms; it repeats it in time. */
const CLAIM_MS = 5_000;
/** How often we repeat ours, in ms: a lost turn of the event loop must not end it. */
const REPEAT_MS = 2_000;
/** How long a peer may claim a piece without having it, in ms: a slow link needs half of it, a liar gains no more. */
const MAX_CLAIM_MS = 60_000;
/** Pieces that one peer may claim at once; an honest one works on a few dozen. */
const MAX_CLAIMS_PER_PEER = 256;
/** Time that a node leaves to each node ranked before it, in ms: well above a round trip inside of a zone. */
const STEP_MS = 50;
/** Most such steps; from there on all are equal, so that nobody waits for nodes that look at no other zone. */
const MAX_STEPS = 8;
/** Time for the connections inside of the zone to come up before the first piece is fetched from outside, in ms. */
const SETTLE_MS = 300;
/** The same at most, while dials are under way, in ms: a busy node must not begin alone what its zone would do once. */
const MAX_SETTLE_MS = 2_000;

interface Claim<Peer> {
  readonly peer: Peer;
  readonly since: number;
  until: number;
}

interface NearPeer {
  readonly seed: number;
  readonly isSeeder: boolean;
  pieces: Bitfield | undefined;
  claims: number;
}

/**
 * Which pieces of one swarm this node may fetch from another zone, so that each crosses once: those that no peer of our own
 * zone has or is fetching. The first to fetch a piece is found by rank, a hash of piece and node, and says so to the others
 * of its zone. Pure: the owner passes on what {@link begin} and {@link repeats} return.
 */
export class FarPieces<Peer extends object> {
  readonly #clock: Clock;
  readonly #ownSeed: number;
  readonly #near = new Map<Peer, NearPeer>();
  readonly #holders: Uint16Array;
  /** When each piece was first looked for in vain in our own zone, in ms; 0 for never. */
  readonly #missedAt: Float64Array;
  readonly #claims = new Map<number, Claim<Peer>>();
  /** What we are fetching, and when we last said so. */
  readonly #own = new Map<number, number>();
  #nearSeeders = 0;
  readonly #isDialling: () => boolean;
  #beganAt: number | undefined;
  #isSettled = false;
  #nextAt = Number.POSITIVE_INFINITY;

  constructor({
    pieceCount,
    nodeId,
    clock,
    isDialling,
  }: {
    pieceCount: number;
    nodeId: NodeId;
    clock: Clock;
    /** Dials are under way, so more of our zone may be connected in a moment. */
    isDialling: () => boolean;
  }) {
    this.#clock = clock;
    this.#isDialling = isDialling;
    this.#ownSeed = seedOf(nodeId);
    this.#holders = new Uint16Array(pieceCount);
    this.#missedAt = new Float64Array(pieceCount);
  }

  /** What we are fetching, for a peer of our zone that has just come. */
  get own(): readonly number[] {
    return [...this.#own.keys()];
  }

  /**
   * When a piece that {@link mayFetch} refused because others come first may be asked for again, in ms; infinite if there
   * was none since this was last called.
   */
  takeNextAt(): number {
    const nextAt = this.#nextAt;
    this.#nextAt = Number.POSITIVE_INFINITY;
    return nextAt;
  }

  /** A peer that is not far is connected. A seeder has all or soon will, and shows it when it sees fit. */
  add(peer: Peer, { nodeId, isSeeder }: { nodeId: NodeId; isSeeder: boolean }): void {
    this.#near.set(peer, { seed: seedOf(nodeId), isSeeder, pieces: undefined, claims: 0 });
    if (isSeeder) this.#nearSeeders += 1;
  }

  remove(peer: Peer): void {
    const near = this.#near.get(peer);
    if (near === undefined) return;
    this.#near.delete(peer);
    if (near.isSeeder) this.#nearSeeders -= 1;
    for (const [index, claim] of this.#claims) if (claim.peer === peer) this.#claims.delete(index);
    for (let index = 0; index < (near.pieces?.length ?? 0); index += 1)
      if (near.pieces?.has(index)) this.#count(index, -1);
  }

  /** The peer has said what it holds. `pieces` must show what it holds from now on; it is only read here. */
  holds(peer: Peer, pieces: Bitfield): void {
    const near = this.#near.get(peer);
    if (near === undefined) return;
    near.pieces = pieces;
    for (let index = 0; index < pieces.length; index += 1) if (pieces.has(index)) this.#count(index, 1);
  }

  /** The peer has one piece more; its bitfield shows it. */
  gained(peer: Peer, index: number): void {
    if (!this.#near.has(peer)) return;
    this.#count(index, 1);
    this.#dropClaim(index);
  }

  /** The peer turned out not to have a piece; its bitfield shows it no more. */
  lost(peer: Peer, index: number): void {
    if (this.#near.has(peer)) this.#count(index, -1);
  }

  /**
   * The peer says that it is fetching these pieces. Of a far peer this means nothing. Returns those that we are fetching
   * too, and leave to it from now on because it comes before us.
   */
  claimed(peer: Peer, indexes: readonly number[]): readonly number[] {
    const near = this.#near.get(peer);
    if (near === undefined) return [];
    const now = this.#clock.now();
    const left: number[] = [];
    for (const index of indexes) {
      if (this.#own.has(index)) {
        if (mix(near.seed, index) >= mix(this.#ownSeed, index)) continue;
        this.#own.delete(index);
        left.push(index);
      }
      const claim = this.#claims.get(index);
      if (claim?.peer === peer) {
        claim.until = Math.min(now + CLAIM_MS, claim.since + MAX_CLAIM_MS);
        continue;
      }
      if ((claim !== undefined && claim.until > now) || near.claims >= MAX_CLAIMS_PER_PEER) continue;
      this.#dropClaim(index);
      this.#claims.set(index, { peer, since: now, until: now + CLAIM_MS });
      near.claims += 1;
    }
    return left;
  }

  /** The piece is here. */
  obtained(index: number): void {
    this.#own.delete(index);
    this.#dropClaim(index);
  }

  /** Whether to ask a far peer for blocks of this piece now. */
  mayFetch(index: number): boolean {
    if (this.#nearSeeders > 0 || this.#holders[index] !== 0) return false;
    if (this.#own.has(index)) return true;
    const now = this.#clock.now();
    if ((this.#claims.get(index)?.until ?? 0) > now) return false;
    if (!this.#hasSettled(now)) return false;
    if (this.#missedAt[index] === 0) this.#missedAt[index] = now;
    const missedAt = this.#missedAt[index] ?? 0;
    if (now >= missedAt + MAX_STEPS * STEP_MS) return true;
    const readyAt = missedAt + Math.min(this.#rankFor(index), MAX_STEPS) * STEP_MS;
    if (now >= readyAt) return true;
    this.#nextAt = Math.min(this.#nextAt, readyAt);
    return false;
  }

  /** Whether a far peer with these pieces has anything that our zone lacks and we do not hold. */
  wants(pieces: Bitfield, held: Bitfield): boolean {
    if (this.#nearSeeders > 0) return false;
    for (let index = 0; index < pieces.length; index += 1) {
      if (this.#holders[index] === 0 && pieces.has(index) && !held.has(index)) return true;
    }
    return false;
  }

  /** Blocks of these pieces were asked of a far peer. Returns those that the others have to hear of. */
  begin(indexes: Iterable<number>): readonly number[] {
    const news: number[] = [];
    for (const index of indexes) {
      if (this.#own.has(index)) continue;
      this.#own.set(index, this.#clock.now());
      news.push(index);
    }
    return news;
  }

  /** What to say again. Forgets what is not under way any more. Call it a few times a second. */
  repeats(isUnderWay: (index: number) => boolean): readonly number[] {
    const now = this.#clock.now();
    const due: number[] = [];
    for (const [index, saidAt] of this.#own) {
      if (!isUnderWay(index)) this.#own.delete(index);
      else if (now - saidAt >= REPEAT_MS) {
        this.#own.set(index, now);
        due.push(index);
      }
    }
    return due;
  }

  #hasSettled(now: number): boolean {
    if (this.#isSettled) return true;
    this.#beganAt ??= now;
    const settledAt = this.#beganAt + SETTLE_MS;
    this.#isSettled = now >= (this.#isDialling() ? this.#beganAt + MAX_SETTLE_MS : settledAt);
    if (!this.#isSettled) this.#nextAt = Math.min(this.#nextAt, Math.max(settledAt, now + STEP_MS));
    return this.#isSettled;
  }

  /** How many of our zone come before us for this piece. */
  #rankFor(index: number): number {
    const own = mix(this.#ownSeed, index);
    let rank = 0;
    for (const { seed } of this.#near.values()) if (mix(seed, index) < own) rank += 1;
    return rank;
  }

  #count(index: number, change: 1 | -1): void {
    this.#holders[index] = (this.#holders[index] ?? 0) + change;
  }

  #dropClaim(index: number): void {
    const claim = this.#claims.get(index);
    if (claim === undefined) return;
    this.#claims.delete(index);
    const near = this.#near.get(claim.peer);
    if (near !== undefined) near.claims -= 1;
  }
}

/** FNV-1a. Nothing depends on it but that all nodes of a zone compute the same. */
function seedOf(nodeId: NodeId): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < nodeId.length; at += 1) hash = Math.imul(hash ^ nodeId.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

/** A number for node and piece, the same everywhere and in no order (the finish of MurmurHash3). */
function mix(seed: number, index: number): number {
  let hash = seed ^ Math.imul(index + 1, 0x9e3779b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
