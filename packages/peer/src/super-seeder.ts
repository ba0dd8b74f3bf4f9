import type { Bitfield, Clock, PieceGeometry } from '@sealift/core';

/** One piece that one peer is now told about. */
export interface Reveal<Peer> {
  readonly peer: Peer;
  readonly index: number;
}

interface PeerView {
  readonly pieces: Bitfield;
  /** Told to this peer, whether it has them by now or not. */
  readonly revealed: Set<number>;
  /** Told to this peer, and not yet seen there: when it was told, in ms; {@link OVERDUE} once it has taken too long. */
  readonly outstanding: Map<number, number>;
  /** How far it has gone through the list of pieces that spread by themselves. */
  spreadCursor: number;
  lastProgressAt: number;
  /** Repeats granted at the next idle moment; doubles while it depends on us. */
  patience: number;
}

/** With so few leechers there is nobody to pass pieces on to: they see everything. */
const FEW_PEERS = 2;
/** Repeats that a peer gets at its first idle moment. */
const FIRST_REPEATS = 2;
/** Bytes that a peer is told about ahead of what it has: keeps its request window full. */
const OUTSTANDING_BYTES = 8 * 1024 * 1024;
/**
 * Bytes that all peers together are told about at first, and the bounds of that window. The fewer pieces share our uplink,
 * the sooner each is whole and can be passed on; too few would leave the uplink idle until the next have comes back.
 */
const FIRST_WINDOW_BYTES = 2 * 1024 * 1024;
const MIN_WINDOW_BYTES = 1024 * 1024;
const MAX_WINDOW_BYTES = 64 * 1024 * 1024;
/** From offer to have, in ms: below it the window grows, above twice as much it shrinks. Covers round trip, hash and pause. */
const TARGET_DELAY_MS = 150;
/** A peer that takes longer than this for a piece, in ms, is slow by itself: others get our uplink meanwhile. */
const OVERDUE_AFTER_MS = 1_000;
const OVERDUE = Number.NEGATIVE_INFINITY;
/** An idle moment after the first is this part of it: we know by then that the peer depends on us. */
const LATER_IDLE_SHARE = 0.25;

/**
 * What a seeder that still holds the only copy shows to whom: each piece to one peer first, so that its uplink carries
 * one copy before it carries a second (super-seeding), and few pieces at a time, so that each soon has a second holder.
 * Pieces that have been passed on may go to anybody while nothing new is left to offer and the uplink is about to idle,
 * and a peer that would otherwise get nothing at all is always told more, so nobody waits for ever.
 *
 * Pure: it decides, the caller sends the haves.
 */
export class SuperSeeder<Peer> {
  readonly #peers = new Map<Peer, PeerView>();
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #maxOutstanding: number;
  readonly #ours: Set<number> = new Set();
  /** Pieces that may be without an offer; checked again when taken. */
  #fresh: number[] = [];
  /** Pieces that a second peer got, in the order in which that was seen. */
  readonly #spread: number[] = [];
  readonly #holders: Uint16Array;
  readonly #offers: Uint16Array;
  #covered = 0;
  /** Offers that are neither taken nor overdue. */
  #inFlight = 0;
  /** Most offers in flight, in pieces. */
  #window: number;
  readonly #minWindow: number;
  readonly #maxWindow: number;
  readonly #pieceCount: number;

  constructor({ geometry, clock, idleMs }: { geometry: PieceGeometry; clock: Clock; idleMs: number }) {
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#pieceCount = geometry.pieceCount;
    const inPieces = (bytes: number): number => Math.max(2, Math.floor(bytes / geometry.pieceLength));
    this.#maxOutstanding = inPieces(OUTSTANDING_BYTES);
    this.#window = inPieces(FIRST_WINDOW_BYTES);
    this.#minWindow = inPieces(MIN_WINDOW_BYTES);
    this.#maxWindow = inPieces(MAX_WINDOW_BYTES);
    this.#holders = new Uint16Array(geometry.pieceCount);
    this.#offers = new Uint16Array(geometry.pieceCount);
  }

  /** The swarm holds a whole copy beside ours: from here on an ordinary seeder does better. */
  get isOver(): boolean {
    return this.#covered === this.#pieceCount;
  }

  /** `pieces` must show the peer's pieces from now on; it is only read here. */
  addPeer(peer: Peer, pieces: Bitfield): Reveal<Peer>[] {
    this.#peers.set(peer, {
      pieces,
      revealed: new Set(),
      outstanding: new Map(),
      spreadCursor: 0,
      lastProgressAt: this.#clock.now(),
      patience: FIRST_REPEATS,
    });
    for (let index = 0; index < pieces.length; index += 1) if (pieces.has(index)) this.#countHolder(index);
    return this.#fill(peer);
  }

  /** What only this peer was told or had is offered again. */
  removePeer(peer: Peer): Reveal<Peer>[] {
    const view = this.#peers.get(peer);
    if (view === undefined) return [];
    this.#peers.delete(peer);
    for (const index of [...view.outstanding.keys()]) this.#withdraw(view, index);
    for (let index = 0; index < view.pieces.length; index += 1) {
      if (!view.pieces.has(index)) continue;
      this.#holders[index] = (this.#holders[index] ?? 1) - 1;
      if (this.#holders[index] === 0) this.#covered -= 1;
    }
    for (const index of this.#ours) if (this.#isFresh(index)) this.#fresh.push(index);
    return this.#fillAll();
  }

  /** We hold piece `index` now. */
  addPiece(index: number): Reveal<Peer>[] {
    this.#ours.add(index);
    this.#fresh.push(index);
    return this.#fillAll();
  }

  /** The peer says that it has piece `index`; its bitfield shows it already. */
  sawPiece(peer: Peer, index: number): Reveal<Peer>[] {
    const view = this.#peers.get(peer);
    if (view === undefined) return [];
    const offeredAt = this.#withdraw(view, index);
    if (offeredAt === undefined) view.patience = FIRST_REPEATS;
    else this.#adapt(this.#clock.now() - offeredAt);
    view.lastProgressAt = this.#clock.now();
    this.#countHolder(index);
    // Room in the window is for whoever owes us least, not for whoever was quick.
    return offeredAt !== undefined || this.#holders[index] === 2 ? this.#fillAll() : this.#fill(peer);
  }

  /** Looks for peers that get nothing from anybody. Call it a few times a second. */
  tick(): Reveal<Peer>[] {
    const now = this.#clock.now();
    this.#markOverdue(now - OVERDUE_AFTER_MS);
    const reveals = this.#fillAll();
    for (const [peer, view] of this.#peers) {
      const idleMs = view.patience > FIRST_REPEATS ? this.#idleMs * LATER_IDLE_SHARE : this.#idleMs;
      if (view.outstanding.size > 0 || view.pieces.isFull || now - view.lastProgressAt < idleMs) continue;
      if (view.revealed.size >= this.#ours.size) continue;
      const rarest = [...this.#ours]
        .filter((index) => this.#isNewsTo(view, index))
        .sort((a, b) => (this.#holders[a] ?? 0) - (this.#holders[b] ?? 0));
      for (const index of rarest.slice(0, view.patience)) reveals.push(this.#reveal(peer, view, index));
      view.patience = Math.min(view.patience * 2, this.#maxOutstanding);
    }
    return reveals;
  }

  #fillAll(): Reveal<Peer>[] {
    // Whoever owes us least is told first.
    const peers = [...this.#peers].sort(([, a], [, b]) => a.outstanding.size - b.outstanding.size);
    if (peers.filter(([, view]) => !view.pieces.isFull).length <= FEW_PEERS) {
      return peers.flatMap(([peer]) => this.#fill(peer));
    }
    const reveals: Reveal<Peer>[] = [];
    // One piece each per turn, so that a burst of new pieces is dealt out and not given to the first in line.
    for (let isDealing = true; isDealing; ) {
      isDealing = false;
      for (const [peer, view] of peers) {
        const reveal = this.#next(peer, view);
        if (reveal === undefined) continue;
        reveals.push(reveal);
        isDealing = true;
      }
    }
    return reveals;
  }

  #fill(peer: Peer): Reveal<Peer>[] {
    const view = this.#peers.get(peer);
    if (view === undefined || view.pieces.isFull) return [];
    const leechers = [...this.#peers.values()].filter((other) => !other.pieces.isFull).length;
    if (leechers <= FEW_PEERS) {
      return [...this.#ours]
        .filter((index) => this.#isNewsTo(view, index))
        .map((index) => this.#reveal(peer, view, index));
    }
    const reveals: Reveal<Peer>[] = [];
    for (let reveal = this.#next(peer, view); reveal !== undefined; reveal = this.#next(peer, view))
      reveals.push(reveal);
    return reveals;
  }

  #next(peer: Peer, view: PeerView): Reveal<Peer> | undefined {
    const isFull = view.outstanding.size >= this.#maxOutstanding || this.#inFlight >= this.#window;
    if (isFull || view.pieces.isFull) return undefined;
    while (this.#fresh.length > 0) {
      const index = this.#fresh[0] as number;
      if (this.#isFresh(index)) {
        // Fresh means that nobody has it, so it is news to every peer.
        this.#fresh.shift();
        return this.#reveal(peer, view, index);
      }
      this.#fresh.shift();
    }
    if (this.#inFlight >= this.#minWindow) return undefined;
    while (view.spreadCursor < this.#spread.length) {
      const index = this.#spread[view.spreadCursor] as number;
      view.spreadCursor += 1;
      if (this.#isNewsTo(view, index)) return this.#reveal(peer, view, index);
    }
    return undefined;
  }

  #reveal(peer: Peer, view: PeerView, index: number): Reveal<Peer> {
    view.revealed.add(index);
    view.outstanding.set(index, this.#clock.now());
    this.#inFlight += 1;
    this.#offers[index] = (this.#offers[index] ?? 0) + 1;
    return { peer, index };
  }

  /** The offer is no longer open; gives the time when it was made. */
  #withdraw(view: PeerView, index: number): number | undefined {
    const offeredAt = view.outstanding.get(index);
    if (offeredAt === undefined) return undefined;
    view.outstanding.delete(index);
    this.#offers[index] = (this.#offers[index] ?? 1) - 1;
    if (offeredAt !== OVERDUE) this.#inFlight -= 1;
    return offeredAt;
  }

  /** Keeps so much in flight that the uplink never idles, and no more: then pieces only wait for each other. */
  #adapt(delayMs: number): void {
    const isUsed = this.#inFlight + 1 >= this.#window;
    if (delayMs <= TARGET_DELAY_MS && isUsed) this.#window = Math.min(this.#window + 1, this.#maxWindow);
    else if (delayMs > 2 * TARGET_DELAY_MS) this.#window = Math.max(this.#window - 1, this.#minWindow);
  }

  #markOverdue(before: number): void {
    for (const { outstanding } of this.#peers.values()) {
      for (const [index, offeredAt] of outstanding) {
        if (offeredAt > before || offeredAt === OVERDUE) continue;
        outstanding.set(index, OVERDUE);
        this.#inFlight -= 1;
      }
    }
  }

  #isFresh(index: number): boolean {
    return this.#holders[index] === 0 && this.#offers[index] === 0;
  }

  #isNewsTo(view: PeerView, index: number): boolean {
    return !view.pieces.has(index) && !view.revealed.has(index);
  }

  #countHolder(index: number): void {
    const holders = (this.#holders[index] ?? 0) + 1;
    this.#holders[index] = holders;
    if (holders === 1) this.#covered += 1;
    if (holders === 2 && this.#ours.has(index)) this.#spread.push(index);
  }
}
