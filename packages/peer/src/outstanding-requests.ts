import type { BlockRange } from '@sealift/bittorrent';
import { BLOCK_LENGTH, MAX_PIECE_LENGTH } from '@sealift/core';

const BLOCKS_PER_PIECE = MAX_PIECE_LENGTH / BLOCK_LENGTH;
/** Given-up requests whose answer may still be on its way; the oldest are forgotten. A window twice. */
const MAX_LATE = 512;

/** What we have asked of one peer: only that may come, and what we gave up may still come once. */
export class OutstandingRequests {
  readonly #requests = new Map<number, { readonly requestedAt: number; readonly length: number }>();
  readonly #late = new Map<number, number>();
  #bytes = 0;

  get count(): number {
    return this.#requests.size;
  }

  /** Bytes asked for and not yet here. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Blocks asked for and not yet here, the oldest first. */
  *blocks(): Iterable<BlockRange> {
    for (const [key, { length }] of this.#requests) yield blockOf(key, length);
  }

  /** When the block was asked of this peer; `undefined` if it is not outstanding. */
  requestedAt(index: number, begin: number): number | undefined {
    return this.#requests.get(keyOf(index, begin))?.requestedAt;
  }

  add({ index, begin, length }: BlockRange, now: number): void {
    const key = keyOf(index, begin);
    if (this.#requests.has(key)) return;
    this.#requests.set(key, { requestedAt: now, length });
    this.#bytes += length;
  }

  /** The block came or was rejected. Returns when it was asked for; `undefined` if it was not outstanding. */
  settle(index: number, begin: number): number | undefined {
    const key = keyOf(index, begin);
    const request = this.#requests.get(key);
    if (request === undefined) return undefined;
    this.#bytes -= request.length;
    this.#requests.delete(key);
    return request.requestedAt;
  }

  /** We no longer wait for the block, but it may have been sent already. `false` if it was not outstanding. */
  giveUp(index: number, begin: number): boolean {
    const key = keyOf(index, begin);
    const request = this.#requests.get(key);
    if (request === undefined) return false;
    this.settle(index, begin);
    this.#late.set(key, request.length);
    if (this.#late.size > MAX_LATE) for (const oldest of this.#late.keys()) return this.#late.delete(oldest);
    return true;
  }

  /** What to make of an answer with this block: `late` ones are allowed once, anything else was never asked for. */
  classify(index: number, begin: number, length: number): 'wanted' | 'late' | 'unrequested' {
    if (begin % BLOCK_LENGTH !== 0) return 'unrequested';
    const key = keyOf(index, begin);
    if (this.#requests.get(key)?.length === length) return 'wanted';
    return this.#late.get(key) === length ? 'late' : 'unrequested';
  }

  /** The answer to a given-up request came. */
  settleLate(index: number, begin: number): void {
    this.#late.delete(keyOf(index, begin));
  }
}

function keyOf(index: number, begin: number): number {
  return index * BLOCKS_PER_PIECE + Math.floor(begin / BLOCK_LENGTH);
}

function blockOf(key: number, length: number): BlockRange {
  const index = Math.floor(key / BLOCKS_PER_PIECE);
  return { index, begin: (key - index * BLOCKS_PER_PIECE) * BLOCK_LENGTH, length };
}
