import { createHash } from 'node:crypto';
import { digestFromSha256, parseSwarmId } from '@sealift/core';
import fc from 'fast-check';
import { HASH_LENGTH, type HashBatch } from './hash-batch.ts';

const PIECE_LENGTH = 16_384;

/** The hash that these fixtures give to piece `index`. */
export function hashOf(index: number): Buffer {
  return createHash('sha256').update(`piece ${index}`).digest();
}

/** Hashes of `count` consecutive pieces. */
export function hashesOf(firstIndex: number, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, offset) => hashOf(firstIndex + offset)));
}

/** A batch for a blob of 2000 pieces, the last of them short: valid but for what `change` says. */
export function newBatch(change: Partial<HashBatch> = {}): HashBatch {
  return {
    swarmId: parseSwarmId('77ddf026c6c8cde208dd6cb2718f815c63ee2a21'),
    digest: digestFromSha256(Buffer.alloc(32, 0xab)),
    size: 2000 * PIECE_LENGTH - 1,
    pieceLength: PIECE_LENGTH,
    startedAt: 1_800_000_000_000,
    firstIndex: 0,
    hashes: hashesOf(0, 3),
    isComplete: false,
    isWithdrawn: false,
    ...change,
  };
}

/** Any batch of the blob of {@link newBatch}. */
export const anyBatch: fc.Arbitrary<HashBatch> = fc
  .tuple(
    fc.integer({ min: 0, max: 1900 }),
    fc.uint8Array({ minLength: HASH_LENGTH, maxLength: HASH_LENGTH }),
    fc.integer({ min: 0, max: 100 }),
    fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    fc.constantFrom([false, false] as const, [true, false] as const, [false, true] as const),
  )
  .map(([firstIndex, hash, count, startedAt, [isComplete, isWithdrawn]]) =>
    newBatch({ startedAt, firstIndex, hashes: Buffer.alloc(count * HASH_LENGTH, hash), isComplete, isWithdrawn }),
  );
