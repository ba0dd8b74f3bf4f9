import type { BlockRange } from '@sealift/bittorrent';
import { BLOCK_LENGTH, blockCount, type PieceGeometry, pieceSize } from '@sealift/core';

const MISSING = 0;
const ASKED = 1;
const ARRIVING = 2;
const HERE = 3;

/** Bytes of the piece that were asked for at once: one block, from a multiple of 16 KiB on. */
type Span = Pick<BlockRange, 'begin' | 'length'>;

/**
 * One started piece: its bytes as they come in, and which are asked of whom. Kept for each 16 KiB, whatever the length of
 * the blocks they come in. Each byte has one writer at most, so that two answers to one request cannot mix, and so that it
 * has one known sender.
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

  /**
   * The next bytes that nobody is asked for: a block of at most `maxLength` bytes, which is a multiple of 16 KiB. What was
   * asked for in other lengths leaves no gaps: a block ends where the next of its length would begin.
   */
  nextMissing(maxLength: number): BlockRange | undefined {
    const first = this.#states.indexOf(MISSING, this.#missingHint);
    this.#missingHint = first === -1 ? this.#states.length : first;
    if (first === -1) return undefined;
    const most = maxLength / BLOCK_LENGTH;
    const end = Math.min(this.#states.length, (Math.floor(first / most) + 1) * most);
    let next = first + 1;
    while (next < end && this.#states[next] === MISSING) next += 1;
    return this.#rangeOf(first, next);
  }

  /** Blocks of 16 KiB asked for before `before` of at most `maxAskers` peers, and not yet coming in. */
  *overdue(before: number, maxAskers: number): Iterable<BlockRange> {
    for (let block = 0; block < this.#states.length; block += 1) {
      const isSlow = this.#states[block] === ASKED && (this.#askedAt[block] ?? 0) <= before;
      if (isSlow && (this.#askers[block] ?? 0) <= maxAskers) yield this.#rangeOf(block, block + 1);
    }
  }

  ask({ begin, length }: Span, now: number): void {
    for (let block = begin / BLOCK_LENGTH; block * BLOCK_LENGTH < begin + length; block += 1) {
      this.#askers[block] = (this.#askers[block] ?? 0) + 1;
      this.#askedAt[block] = now;
      if (this.#states[block] === MISSING) this.#states[block] = ASKED;
    }
  }

  /** One peer is no longer asked for these bytes. */
  unask({ begin, length }: Span): void {
    for (let block = begin / BLOCK_LENGTH; block * BLOCK_LENGTH < begin + length; block += 1) {
      this.#askers[block] = Math.max(0, (this.#askers[block] ?? 0) - 1);
      this.#settle(block);
    }
  }

  /** Some peer is asked for some of these bytes now. */
  isAsked({ begin, length }: Span): boolean {
    for (let block = begin / BLOCK_LENGTH; block * BLOCK_LENGTH < begin + length; block += 1) {
      if ((this.#askers[block] ?? 0) > 0) return true;
    }
    return false;
  }

  /** All of these bytes are here. */
  isHere({ begin, length }: Span): boolean {
    return this.#isAll(HERE, { begin, length });
  }

  /** Where the bytes go; `undefined` if some of them are here, or coming in from somebody else. */
  begin({ begin, length }: Span, peer: Peer): Uint8Array | undefined {
    if (this.isExclusive && this.owner !== peer) return undefined;
    const [first, end] = [begin / BLOCK_LENGTH, Math.ceil((begin + length) / BLOCK_LENGTH)];
    for (let block = first; block < end; block += 1) if ((this.#states[block] ?? HERE) >= ARRIVING) return undefined;
    this.#states.fill(ARRIVING, first, end);
    return new Uint8Array(this.buffer, begin, length);
  }

  /** The block is whole. */
  end({ begin, length }: Span, peer: Peer, now: number): void {
    if (!this.#isAll(ARRIVING, { begin, length })) return;
    const [first, end] = [begin / BLOCK_LENGTH, Math.ceil((begin + length) / BLOCK_LENGTH)];
    this.#states.fill(HERE, first, end);
    this.#senders.fill(peer, first, end);
    this.#hereCount += end - first;
    this.lastProgressAt = now;
  }

  /** The block was cut off. */
  abort({ begin, length }: Span): void {
    if (!this.#isAll(ARRIVING, { begin, length })) return;
    for (let block = begin / BLOCK_LENGTH; block * BLOCK_LENGTH < begin + length; block += 1) {
      this.#states[block] = ASKED;
      this.#settle(block);
    }
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

  #isAll(state: number, { begin, length }: Span): boolean {
    for (let block = begin / BLOCK_LENGTH; block * BLOCK_LENGTH < begin + length; block += 1) {
      if (this.#states[block] !== state) return false;
    }
    return true;
  }

  #rangeOf(first: number, end: number): BlockRange {
    const begin = first * BLOCK_LENGTH;
    const length = Math.min(end * BLOCK_LENGTH, pieceSize(this.#geometry, this.index)) - begin;
    return { index: this.index, begin, length };
  }
}
