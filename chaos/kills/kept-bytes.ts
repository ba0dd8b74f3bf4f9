import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Bitfield, type Digest, pieceGeometry, pieceSize } from '@sealift/core';

/** What a store holds of one blob, while no process has it. */
export interface KeptBlob {
  readonly digest: Digest;
  /** All that is marked as verified. */
  readonly bytes: number;
  /** The part of it that lies before the first gap. */
  readonly firstBytes: number;
}

/** What the store in `directory` holds of these blobs, by its own bitmaps. */
export async function keptBlobs(directory: string, digests: readonly Digest[]): Promise<readonly KeptBlob[]> {
  const entries = await readdir(path.join(directory, 'blobs'), { recursive: true, withFileTypes: true });
  const metas = entries.filter((entry) => entry.isFile() && entry.name === 'meta.json');
  const kept = await Promise.all(metas.map(({ parentPath }) => keptBlob(parentPath)));
  return kept.filter(({ digest }) => digests.includes(digest));
}

async function keptBlob(directory: string): Promise<KeptBlob> {
  const { digest, size, pieceLength } = JSON.parse(await readFile(path.join(directory, 'meta.json'), 'utf8')) as {
    digest: Digest;
    size: number;
    pieceLength: number;
  };
  const geometry = pieceGeometry(size, pieceLength);
  const bitmap = Bitfield.fromBytes(await readFile(path.join(directory, 'bitmap')), geometry.pieceCount);
  const indexes = Array.from({ length: geometry.pieceCount }, (_, index) => index).filter((index) => bitmap.has(index));
  const bytes = indexes.reduce((sum, index) => sum + pieceSize(geometry, index), 0);
  return { digest, bytes, firstBytes: Math.min(size, bitmap.firstMissing() * pieceLength) };
}
