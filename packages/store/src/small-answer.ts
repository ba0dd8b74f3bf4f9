import { AppError } from '@sealift/core';
import type { ServedBytes } from './blob-reader.ts';

/** A blob that is answered without a file; the proxy's `OpenBlob` by shape. */
export interface SmallAnswer {
  /** Bytes of the whole blob. */
  readonly size: number;
  read(range: { start: number; end: number }): AsyncIterable<Uint8Array>;
  readonly served: Readonly<ServedBytes>;
  close(): void;
}

/** A small blob that came whole with an answer, its digest checked by whoever took it. */
export function bytesAnswer(bytes: Uint8Array): SmallAnswer {
  const served = { peers: 0, cache: 0 };
  return {
    size: bytes.length,
    async *read({ start, end }) {
      served.peers += end - start;
      yield bytes.subarray(start, end);
    },
    served,
    close: () => {},
  };
}

/** The answer to a HEAD: its size is known and nothing is read. Reading throws `PIECE_MISSING`. */
export function sizeAnswer(size: number): SmallAnswer {
  return {
    size,
    // biome-ignore lint/correctness/useYield: a HEAD has no body; reading one is a bug, and it must show as an error.
    async *read() {
      throw new AppError('PIECE_MISSING', { reason: 'the blob was opened for its size only' });
    },
    served: { peers: 0, cache: 0 },
    close: () => {},
  };
}
