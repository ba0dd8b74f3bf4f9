import type { BlockRange } from '@sealift/bittorrent';
import { BLOCK_LENGTH, blockCount, type PieceGeometry, pieceSize } from '@sealift/core';

const MISSING = 0;
const ASKED = 1;
const ARRIVING = 2;
const HERE = 3;

/**
 * One started piece: its bytes as they come in, and which block is asked of whom. Each block has one writer at most, so
 * that two answers to one request cannot mix, and so that each byte has one known sender.
 */
export class PieceAssembly<Peer> {
  readonly index: number;
  /** One piece length long, also for a short last piece, so that buffers can be reused. */
  readonly buffer: ArrayBuffer;
  /** The piece failed before: all of it must come from one peer, so that a second failure names the culprit. */
  readonly isExclusive: boolean;
  /** The only peer that may send an exclusive piece, once one has taken it on. */
  owner: Peer | undefined;
  lastProgressAt: number;
  readonly #geometry: PieceGeometry;
  readonly #states: Uint8Array;
  readonly #askers: Uint8Array;
  readonly #askedAt: Float64Array;
  readonly #senders: (Peer | undefined)[];
  #hereCount = 0;
  #missingHint = 0;

  constructor({
    index,
    geometry,
    buffer,
    isExclusive,
    now,
  }: {
    index: number;
    geometry: PieceGeometry;
    buffer: ArrayBuffer;
    isExclusive: boolean;
    now: number;
  }) {
    this.index = index;
    this.buffer = buffer;
    this.isExclusive = isExclusive;
    this.lastProgressAt = now;
    this.#geometry = geometry;
    const blocks = blockCount(geometry, index);
    this.#states = new Uint8Array(blocks);
    this.#askers = new Uint8Array(blocks);
    this.#askedAt = new Float64Array(blocks);
    this.#senders = new Array(blocks).fill(undefined);
  }

  get isWhole(): boolean {
    return this.#hereCount === this.#states.length;
  }

  /** A block is being written into the buffer right now. */
  get isArriving(): boolean {
    return this.#states.includes(ARRIVING);
  }

  /** Who sent each block, in order; all of them once the piece is whole. */
  get senders(): readonly (Peer | undefined)[] {
    return this.#senders;
  }

  /** Whether `peer` may be asked for blocks; takes an exclusive piece on for it if nobody has. */
  isOpenTo(peer: Peer): boolean {
    if (!this.isExclusive) return true;
    this.owner ??= peer;
    return this.owner === peer;
  }

  /** The next block that nobody is asked for. */
  nextMissing(): BlockRange | undefined {
    const block = this.#states.indexOf(MISSING, this.#missingHint);
    this.#missingHint = block === -1 ? this.#states.length : block;
    return block === -1 ? undefined : this.#rangeOf(block);
  }

  /** Blocks asked for before `before` of at most `maxAskers` peers, and not yet coming in. */
  *overdue(before: number, maxAskers: number): Iterable<BlockRange> {
    for (let block = 0; block < this.#states.length; block += 1) {
      const isSlow = this.#states[block] === ASKED && (this.#askedAt[block] ?? 0) <= before;
      if (isSlow && (this.#askers[block] ?? 0) <= maxAskers) yield this.#rangeOf(block);
    }
  }

  ask(begin: number, now: number): void {
    const block = begin / BLOCK_LENGTH;
    this.#askers[block] = (this.#askers[block] ?? 0) + 1;
    this.#askedAt[block] = now;
    if (this.#states[block] === MISSING) this.#states[block] = ASKED;
  }

  /** One peer is no longer asked for the block. */
  unask(begin: number): void {
    const block = begin / BLOCK_LENGTH;
    this.#askers[block] = Math.max(0, (this.#askers[block] ?? 0) - 1);
    this.#settle(block);
  }

  /** How many peers are asked for the block now. */
  askersOf(begin: number): number {
    return this.#askers[begin / BLOCK_LENGTH] ?? 0;
  }

  /** Where the block goes; `undefined` if it is here, or coming in from somebody else. */
  begin(begin: number, length: number, peer: Peer): Uint8Array | undefined {
    const block = begin / BLOCK_LENGTH;
    const state = this.#states[block];
    if (state === ARRIVING || state === HERE || (this.isExclusive && this.owner !== peer)) return undefined;
    this.#states[block] = ARRIVING;
    return new Uint8Array(this.buffer, begin, length);
  }

  /** The block is whole. */
  end(begin: number, peer: Peer, now: number): void {
    const block = begin / BLOCK_LENGTH;
    if (this.#states[block] !== ARRIVING) return;
    this.#states[block] = HERE;
    this.#senders[block] = peer;
    this.#hereCount += 1;
    this.lastProgressAt = now;
  }

  /** The block was cut off. */
  abort(begin: number): void {
    const block = begin / BLOCK_LENGTH;
    if (this.#states[block] !== ARRIVING) return;
    this.#states[block] = ASKED;
    this.#settle(block);
  }

  /** The owner of an exclusive piece is lost: its blocks are forgotten, the next peer starts over. */
  disown(): void {
    this.owner = undefined;
    this.#states.fill(MISSING);
    this.#askers.fill(0);
    this.#senders.fill(undefined);
    this.#hereCount = 0;
    this.#missingHint = 0;
  }

  #settle(block: number): void {
    if (this.#states[block] !== ASKED || (this.#askers[block] ?? 0) > 0) return;
    this.#states[block] = MISSING;
    this.#missingHint = Math.min(this.#missingHint, block);
  }

  #rangeOf(block: number): BlockRange {
    const begin = block * BLOCK_LENGTH;
    const length = Math.min(BLOCK_LENGTH, pieceSize(this.#geometry, this.index) - begin);
    return { index: this.index, begin, length };
  }
}
