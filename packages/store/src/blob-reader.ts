import { AppError, Bitfield, type PieceGeometry } from '@sealift/core';
import type { ReadableBlob } from './stored-blob.ts';

/**
 * Bytes read from the store at a time. A read costs a hand-over to another thread and back, which half as much would double;
 * two of these still fit into the cache of one core, and beyond that every byte is fetched from memory twice.
 */
const CHUNK_LENGTH = 512 * 1024;

/** A blob whose pieces may still be on their way: a swarm of the peer engine, one of another process, or a complete blob. */
export interface ArrivingBlob {
  readonly blob: ReadableBlob;
  /** Resolves when piece `index` is verified; throws when nobody needs to wait for it any longer. */
  waitForPiece(index: number, options: { signal: AbortSignal }): Promise<void>;
  /** Resolves once the whole blob is signed as complete. */
  waitForSignedComplete(options: { signal: AbortSignal }): Promise<void>;
  setReadPosition(index: number): void;
  /** What was here when it was opened, whether it could be read at once or not. @default the pieces of `blob` */
  readonly held?: Bitfield;
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
  readonly #source: ArrivingBlob;
  readonly #cached: Bitfield;
  readonly #revision: number;
  readonly served: ServedBytes = { peers: 0, cache: 0 };

  constructor(source: ArrivingBlob) {
    this.#source = source;
    this.#revision = source.revision;
    const { bitfield, geometry } = source.blob;
    this.#cached = source.held ?? Bitfield.fromBytes(bitfield.toBytes(), geometry.pieceCount);
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
    const { geometry } = this.#source.blob;
    const length = Math.min(buffer.length, end - offset, bytesLeftInPiece(geometry, offset));
    const index = Math.floor(offset / geometry.pieceLength);
    if (offset % geometry.pieceLength === 0) this.#source.setReadPosition(index);
    await this.#source.waitForPiece(index, { signal });
    if (index === geometry.pieceCount - 1) await this.#source.waitForSignedComplete({ signal });
    const chunk = buffer.subarray(0, length);
    await this.#source.blob.read(offset, chunk);
    // A piece that was read before may be the false one, and then no rest makes it a blob.
    if (this.#source.revision !== this.#revision) {
      throw new AppError('SWARM_WITHDRAWN', { reason: 'a piece proved false while it was read' });
    }
    return chunk;
  }

  #count(offset: number, length: number): void {
    const index = Math.floor(offset / this.#source.blob.geometry.pieceLength);
    if (this.#cached.has(index)) this.served.cache += length;
    else this.served.peers += length;
  }
}

function bytesLeftInPiece({ pieceLength, size }: PieceGeometry, offset: number): number {
  const pieceEnd = (Math.floor(offset / pieceLength) + 1) * pieceLength;
  return Math.min(pieceEnd, size) - offset;
}
