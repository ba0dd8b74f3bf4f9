import { Bitfield, type PieceGeometry } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';

/** Bytes read from the store at a time: large enough that a read costs little, small enough to stay in the CPU's cache. */
const CHUNK_LENGTH = 256 * 1024;

/** What a reader needs of a swarm; the engine's `Swarm` fits, and so does a complete blob without one. */
export interface ReadableSwarm {
  readonly blob: StoredBlob;
  waitForPiece(index: number, options: { signal: AbortSignal }): Promise<void>;
  /** Resolves once the whole blob is signed as complete. */
  waitForSignedComplete(options: { signal: AbortSignal }): Promise<void>;
  setReadPosition(index: number): void;
}

/** Bytes that a reader has handed out, by where they came from. */
export interface ServedBytes {
  peers: number;
  cache: number;
}

/**
 * Reads a blob in order while its pieces arrive. Keeps two buffers: while the consumer works on one, the other is
 * filled. The last piece is held back until the blob is signed as complete, so that a blob that proves false at its end
 * never reaches the runtime as a well-formed body.
 */
export class BlobReader {
  readonly #swarm: ReadableSwarm;
  readonly #cached: Bitfield;
  readonly served: ServedBytes = { peers: 0, cache: 0 };

  constructor(swarm: ReadableSwarm) {
    this.#swarm = swarm;
    const { bitfield, geometry } = swarm.blob;
    this.#cached = Bitfield.fromBytes(bitfield.toBytes(), geometry.pieceCount);
  }

  /** Verified bytes of `[start, end)`. A chunk is valid until the next one is asked for. */
  async *read(
    { start, end }: { start: number; end: number },
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<Uint8Array> {
    const buffers: [Uint8Array, Uint8Array] = [new Uint8Array(CHUNK_LENGTH), new Uint8Array(CHUNK_LENGTH)];
    let turn: 0 | 1 = 0;
    let position = start;
    let next = this.#fill(buffers[turn], position, end, signal);
    while (position < end) {
      const chunk = await next;
      position += chunk.length;
      turn = turn === 0 ? 1 : 0;
      next = position < end ? this.#fill(buffers[turn], position, end, signal) : next;
      // It is awaited at the next turn; a failure meanwhile must not count as unhandled.
      next.catch(() => {});
      this.#count(position - chunk.length, chunk.length);
      yield chunk;
    }
  }

  async #fill(buffer: Uint8Array, offset: number, end: number, signal: AbortSignal): Promise<Uint8Array> {
    const { geometry } = this.#swarm.blob;
    const length = Math.min(buffer.length, end - offset, bytesLeftInPiece(geometry, offset));
    const index = Math.floor(offset / geometry.pieceLength);
    if (offset % geometry.pieceLength === 0) this.#swarm.setReadPosition(index);
    await this.#swarm.waitForPiece(index, { signal });
    if (index === geometry.pieceCount - 1) await this.#swarm.waitForSignedComplete({ signal });
    const chunk = buffer.subarray(0, length);
    await this.#swarm.blob.read(offset, chunk);
    return chunk;
  }

  #count(offset: number, length: number): void {
    const index = Math.floor(offset / this.#swarm.blob.geometry.pieceLength);
    if (this.#cached.has(index)) this.served.cache += length;
    else this.served.peers += length;
  }
}

function bytesLeftInPiece({ pieceLength, size }: PieceGeometry, offset: number): number {
  const pieceEnd = (Math.floor(offset / pieceLength) + 1) * pieceLength;
  return Math.min(pieceEnd, size) - offset;
}
