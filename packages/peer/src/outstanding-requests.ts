import type { BlockRange } from '@sealift/bittorrent';
import { BLOCK_LENGTH, MAX_PIECE_LENGTH } from '@sealift/core';

const BLOCKS_PER_PIECE = MAX_PIECE_LENGTH / BLOCK_LENGTH;
const LENGTHS = BLOCKS_PER_PIECE + 1;
/** Given-up requests whose answer may still be on its way; the oldest are forgotten. A window twice. */
const MAX_LATE = 512;

/** What we have asked of one peer: only that may come, and what we gave up may still come once. */
export class OutstandingRequests {
  readonly #requests = new Map<number, { readonly block: BlockRange; readonly requestedAt: number }>();
  readonly #late = new Map<number, BlockRange>();
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
    for (const { block } of this.#requests.values()) yield block;
  }

  add(block: BlockRange, now: number): void {
    const key = keyOf(block);
    if (this.#requests.has(key)) return;
    this.#requests.set(key, { block, requestedAt: now });
    this.#bytes += block.length;
  }

  /** The block came or was rejected. Returns when it was asked for; `undefined` if it was not outstanding. */
  settle(block: BlockRange): number | undefined {
    const key = keyOf(block);
    const request = this.#requests.get(key);
    if (request === undefined) return undefined;
    this.#bytes -= request.block.length;
    this.#requests.delete(key);
    return request.requestedAt;
  }

  /** We no longer wait for the block, but it may have been sent already. `false` if it was not outstanding. */
  giveUp(block: BlockRange): boolean {
    if (this.settle(block) === undefined) return false;
    this.#late.set(keyOf(block), block);
    if (this.#late.size > MAX_LATE) for (const oldest of this.#late.keys()) return this.#late.delete(oldest);
    return true;
  }

  /** What to make of an answer with this block: `late` ones are allowed once, anything else was never asked for. */
  classify(block: BlockRange): 'wanted' | 'late' | 'unrequested' {
    const { begin, length } = block;
    if (begin % BLOCK_LENGTH !== 0 || begin + length > MAX_PIECE_LENGTH) return 'unrequested';
    const key = keyOf(block);
    if (this.#requests.get(key)?.block.length === length) return 'wanted';
    return this.#late.get(key)?.length === length ? 'late' : 'unrequested';
  }

  /** The answer to a given-up request came. */
  settleLate(block: BlockRange): void {
    this.#late.delete(keyOf(block));
  }
}

/** The same bytes may be asked for twice, in blocks of other lengths, while an answer to the first is still on its way. */
function keyOf({ index, begin, length }: BlockRange): number {
  return (index * BLOCKS_PER_PIECE + Math.floor(begin / BLOCK_LENGTH)) * LENGTHS + Math.ceil(length / BLOCK_LENGTH);
}
