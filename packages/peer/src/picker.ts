import type { Bitfield } from '@sealift/core';
import { CandidateOrder } from './candidate-order.ts';
import type { Random } from './random.ts';

/** Share of picks that go to the earliest missing piece instead of the rarest, so that the reader's stream keeps moving. */
const READ_BIAS = 0.1;
/** How far ahead of the reader such a pick looks, in pieces: it must stay cheap. */
const READ_AHEAD = 256;

/** The picker's view of one peer. Made by {@link Picker.addPeer}, opaque to everybody else. */
export interface PickerPeer {
  readonly pieces: Bitfield;
}

interface CountedPeer extends PickerPeer {
  /** Counted once for all pieces: seeders come and go without touching each piece's count. */
  isCountedAsFull: boolean;
  /** How many of the candidates this peer has; 0 spares the search. */
  candidates: number;
}

/**
 * Which piece to start next: rarest first among the pieces whose signed hash is known, ties broken at random, with a
 * small bias to the earliest missing piece after the reader; in the reader's order where nobody else is fetching. Pieces
 * that are started already are the caller's: it finishes them before it asks for another.
 *
 * Pure: no clock, no I/O, randomness passed in. A pick looks at few pieces in practice and never twice at one.
 */
export class Picker {
  readonly #order: CandidateOrder;
  readonly #peers = new Set<CountedPeer>();
  readonly #random: Random;
  #readPosition = 0;
  /** Nobody else is fetching the blob: there is nobody to trade with, and only the reader cares for the order. */
  isAlone = false;

  constructor({ pieceCount, random }: { pieceCount: number; random: Random }) {
    this.#order = new CandidateOrder({ pieceCount, random });
    this.#random = random;
  }

  /** Pieces that could be started: hash known, not held, not started. */
  get candidateCount(): number {
    return this.#order.size;
  }

  /** The piece may be picked from now on: its hash is known and we lack it, or its start came to nothing. */
  want(index: number): void {
    if (!this.#order.insert(index)) return;
    for (const peer of this.#peers) if (peer.pieces.has(index)) peer.candidates += 1;
  }

  /** The piece must not be picked: it arrived by another way. */
  unwant(index: number): void {
    if (!this.#order.remove(index)) return;
    for (const peer of this.#peers) if (peer.pieces.has(index)) peer.candidates -= 1;
  }

  /** Counts the pieces of a peer. `pieces` then belongs to the picker: change it through {@link gained} only. */
  addPeer(pieces: Bitfield): PickerPeer {
    const peer: CountedPeer = { pieces, isCountedAsFull: pieces.isFull, candidates: 0 };
    if (peer.isCountedAsFull) {
      peer.candidates = this.#order.size;
    } else {
      for (let index = 0; index < pieces.length; index += 1) {
        if (!pieces.has(index)) continue;
        this.#order.raise(index);
        if (this.#order.has(index)) peer.candidates += 1;
      }
    }
    this.#peers.add(peer);
    return peer;
  }

  removePeer(handle: PickerPeer): void {
    const peer = handle as CountedPeer;
    if (!this.#peers.delete(peer) || peer.isCountedAsFull) return;
    for (let index = 0; index < peer.pieces.length; index += 1) {
      if (peer.pieces.has(index)) this.#order.lower(index);
    }
  }

  /** The peer has one piece more; `false` if it had it before. */
  gained(handle: PickerPeer, index: number): boolean {
    const peer = handle as CountedPeer;
    if (!peer.pieces.add(index)) return false;
    this.#order.raise(index);
    if (this.#order.has(index)) peer.candidates += 1;
    return true;
  }

  /** The peer turned out not to have a piece that it showed; `false` if it never showed it. */
  lost(handle: PickerPeer, index: number): boolean {
    const peer = handle as CountedPeer;
    if (!peer.pieces.has(index)) return false;
    if (peer.isCountedAsFull) {
      peer.isCountedAsFull = false;
      for (let each = 0; each < peer.pieces.length; each += 1) this.#order.raise(each);
    }
    peer.pieces.delete(index);
    this.#order.lower(index);
    if (this.#order.has(index)) peer.candidates -= 1;
    return true;
  }

  /** The reader waits for piece `index` next. */
  setReadPosition(index: number): void {
    this.#readPosition = index;
  }

  /** Whether {@link pick} would find a piece for this peer. With `mayAsk` it costs a search. */
  hasCandidateFor(handle: PickerPeer, mayAsk?: (index: number) => boolean): boolean {
    const { candidates, pieces } = handle as CountedPeer;
    if (candidates <= 0 || mayAsk === undefined) return candidates > 0;
    return this.#order.find((index) => pieces.has(index) && mayAsk(index)) !== undefined;
  }

  /**
   * Chooses a piece for this peer and takes it out of the candidates; `undefined` if it has none of them. `mayAsk` tells
   * which pieces this peer may be asked for, if not all.
   */
  pick(handle: PickerPeer, mayAsk?: (index: number) => boolean): number | undefined {
    const peer = handle as CountedPeer;
    if (peer.candidates <= 0) return undefined;
    const fits = (index: number): boolean => peer.pieces.has(index) && (mayAsk === undefined || mayAsk(index));
    const early = this.isAlone || this.#random() < READ_BIAS ? this.#earliest(peer.pieces.length, fits) : undefined;
    const index = early ?? this.#order.find(fits);
    if (index !== undefined) this.unwant(index);
    return index;
  }

  #earliest(length: number, fits: (index: number) => boolean): number | undefined {
    let index = this.#readPosition;
    for (let steps = 0; steps < READ_AHEAD && index < length; steps += 1, index += 1) {
      if (this.#order.has(index) && fits(index)) return index;
    }
    return undefined;
  }
}
