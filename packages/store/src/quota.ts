import type { PieceGeometry } from '@sealift/core';

/** What file systems hand out space in, in bytes; a smaller file still takes one. */
const FILE_BLOCK = 4096;
/** Length of a SHA-256, in bytes. */
export const HASH_LENGTH = 32;
/** Files of a blob that are small whatever its size, and its directory. */
const SMALL_FILES = 3;

/**
 * Most bytes of signed hash batches kept for a blob. A batch has 153 bytes beside its hashes and its frame has 8, so even
 * a seeder that signs each piece alone needs 193 per piece; 4 KiB are for batches that only say `complete`.
 */
export function maxHashBytes({ pieceCount }: PieceGeometry): number {
  return 256 * pieceCount + 4096;
}

/** Most bytes that a blob can take on the disk, its metadata included. The quota counts this from the first moment. */
export function footprint(geometry: PieceGeometry): number {
  const files = [
    geometry.size,
    HASH_LENGTH * geometry.pieceCount,
    Math.ceil(geometry.pieceCount / 8),
    maxHashBytes(geometry),
  ];
  return files.reduce((sum, size) => sum + roundUp(size), SMALL_FILES * FILE_BLOCK);
}

/** What the choice of victims needs to know of a blob. */
export interface Evictable {
  readonly footprint: number;
  /** Time of the last pin or read, in ms since the epoch. */
  readonly lastUsedAt: number;
  readonly isPinned: boolean;
}

/**
 * The least recently used unpinned blobs that together free `bytes`; `undefined` if all of them would not do, so that
 * nothing is evicted for a blob that does not fit anyway.
 */
export function chooseVictims<T extends Evictable>(blobs: readonly T[], bytes: number): readonly T[] | undefined {
  const victims: T[] = [];
  let freed = 0;
  for (const blob of blobs.filter(({ isPinned }) => !isPinned).sort((a, b) => a.lastUsedAt - b.lastUsedAt)) {
    if (freed >= bytes) break;
    victims.push(blob);
    freed += blob.footprint;
  }
  return freed >= bytes ? victims : undefined;
}

function roundUp(size: number): number {
  return Math.ceil(size / FILE_BLOCK) * FILE_BLOCK;
}
