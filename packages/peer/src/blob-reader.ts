import { AppError, Bitfield, type PieceGeometry } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';

/**
 * Bytes read from the store at a time. A read costs a hand-over to another thread and back, which half as much would double;
 * two of these still fit into the cache of one core, and beyond that every byte is fetched from memory twice.
 */
const CHUNK_LENGTH = 512 * 1024;

/** What a reader needs of a swarm; the engine's `Swarm` fits, and so does a complete blob without one. */
export interface ReadableSwarm {
  readonly blob: StoredBlob;
  waitForPiece(index: number, options: { signal: AbortSignal }): Promise<void>;
  /** Resolves once the whole blob is signed as complete. */
  waitForSignedComplete(options: { signal: AbortSignal }): Promise<void>;
  setReadPosition(index: number): void;
  /** Changes whenever a piece that was here has proved false. */
  readonly revision: number;
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
  readonly #revision: number;
  readonly served: ServedBytes = { peers: 0, cache: 0 };

  constructor(swarm: ReadableSwarm) {
    this.#swarm = swarm;
    this.#revision = swarm.revision;
    const { bitfield, geometry } = swarm.blob;
    this.#cached = Bitfield.fromBytes(bitfield.toBytes(), geometry.pieceCount);
  }

  /** Verified bytes of `[start, end)`. A chunk is valid until the next one is asked for. */
  async *read(
    { start, end }: { start: number; end: number },
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<Uint8Array> {
    const bufferLength = Math.min(CHUNK_LENGTH, end - start);
    const buffers: [Uint8Array, Uint8Array] = [new Uint8Array(bufferLength), new Uint8Array(bufferLength)];
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
      // What is here already waits for nothing, so nothing else would notice that the reader has left.
      signal.throwIfAborted();
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
    // A piece that was read before may be the false one, and then no rest makes it a blob.
    if (this.#swarm.revision !== this.#revision) {
      throw new AppError('SWARM_WITHDRAWN', { reason: 'a piece proved false while it was read' });
    }
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
