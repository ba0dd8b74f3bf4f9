import { type PieceGeometry, pieceSize } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';

/** Bytes of a SHA-1. */
const SUM_LENGTH = 20;

/** The piece sums of stock BitTorrent clients (BEP 3). */
export interface PieceSums {
  readonly geometry: PieceGeometry;
  /** SHA-1 of each piece, 20 bytes each. */
  readonly sums: Buffer;
}

/** Reads and sums all pieces of a blob, which is kept meanwhile. Throws errors of the store and the reason of `signal`. */
export async function sumPieces(blob: StoredBlob, { signal }: { signal: AbortSignal }): Promise<PieceSums> {
  const { geometry } = blob;
  const sums = Buffer.alloc(geometry.pieceCount * SUM_LENGTH);
  const piece = Buffer.allocUnsafeSlow(geometry.pieceLength);
  const unpin = blob.pin();
  try {
    for (let index = 0; index < geometry.pieceCount; index += 1) {
      signal.throwIfAborted();
      const bytes = piece.subarray(0, pieceSize(geometry, index));
      await blob.read(index * geometry.pieceLength, bytes);
      // On a thread of Node's pool: a piece of 4 MiB takes some 4 ms.
      sums.set(new Uint8Array(await crypto.subtle.digest('SHA-1', bytes)), index * SUM_LENGTH);
    }
    return { geometry, sums };
  } finally {
    unpin();
  }
}
