import { createHash, type Hash } from 'node:crypto';
import { AppError, type BlobRef, digestFromSha256, isAppError, type PieceGeometry, pieceSize } from '@sealift/core';
import type { RegistryClient } from '@sealift/registry';
import type { StoredBlob } from '@sealift/store';
import type { Ingest } from './ingest.ts';

/** Bytes re-read at a time to rebuild the running hash of a read that an earlier process began. */
const REHASH_CHUNK_LENGTH = 1024 * 1024;

/** A part of an answer from the registry: what is left of the blob from `offset` on. */
type BlobBody = Awaited<ReturnType<RegistryClient['openBlob']>>;

/**
 * One blob on its way from the registry into a swarm: cuts the body into pieces, hands each to the ingest at once, and
 * keeps the running SHA-256 of the whole. It can go on where a broken body ended, in the same process or, from what the
 * store holds, in the next one.
 */
export class RegistryRead {
  readonly blob: BlobRef;
  readonly #geometry: PieceGeometry;
  readonly #ingest: Ingest;
  #hash: Hash = createHash('sha256');
  #nextPiece = 0;
  /** Bytes of `#piece` that are filled. */
  #filled = 0;
  #piece: ArrayBuffer;

  constructor({ blob, geometry, ingest }: { blob: BlobRef; geometry: PieceGeometry; ingest: Ingest }) {
    this.blob = blob;
    this.#geometry = geometry;
    this.#ingest = ingest;
    this.#piece = new ArrayBuffer(geometry.pieceLength);
  }

  /** Where the next byte belongs. */
  get offset(): number {
    return Math.min(this.#nextPiece * this.#geometry.pieceLength + this.#filled, this.#geometry.size);
  }

  /** Takes over the leading pieces that `stored` holds from an earlier process, and hashes them anew. */
  async resumeFrom(stored: StoredBlob, { signal }: { signal: AbortSignal }): Promise<void> {
    const chunk = new Uint8Array(REHASH_CHUNK_LENGTH);
    const end = Math.min(stored.bitfield.firstMissing() * this.#geometry.pieceLength, this.#geometry.size);
    for (let offset = 0; offset < end; offset += chunk.length) {
      signal.throwIfAborted();
      const part = chunk.subarray(0, Math.min(chunk.length, end - offset));
      await stored.read(offset, part);
      this.#hash.update(part);
    }
    this.#nextPiece = stored.bitfield.firstMissing();
  }

  /** Reads a body to its end; throws `REGISTRY_UNAVAILABLE` when it is longer or shorter than the blob. */
  async take({ body, offset }: BlobBody, { signal }: { signal: AbortSignal }): Promise<void> {
    if (offset !== this.offset)
      throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'it sent another range than asked for' });
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      signal.throwIfAborted();
      await this.#push(chunk);
      this.#ingest.progress(this.offset);
    }
    if (this.offset !== this.#geometry.size)
      throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'it closed before the end of the blob' });
  }

  /** Whether all that was read is the blob that its digest names. Ends the running hash. */
  finish(): boolean {
    return this.offset === this.#geometry.size && digestFromSha256(this.#hash.digest()) === this.blob.digest;
  }

  async #push(chunk: Uint8Array): Promise<void> {
    if (this.offset + chunk.length > this.#geometry.size) {
      throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'it sends more bytes than it announced' });
    }
    this.#hash.update(chunk);
    for (let start = 0; start < chunk.length; ) {
      const size = pieceSize(this.#geometry, this.#nextPiece);
      const part = chunk.subarray(start, start + size - this.#filled);
      new Uint8Array(this.#piece).set(part, this.#filled);
      this.#filled += part.length;
      start += part.length;
      if (this.#filled === size) await this.#completePiece();
    }
  }

  async #completePiece(): Promise<void> {
    this.#piece = await this.#ingest.addPiece(this.#nextPiece, this.#piece);
    this.#nextPiece += 1;
    this.#filled = 0;
  }
}

/** Whether a read may be tried again with the same credentials: the registry failed, and did not say no. */
export function isPassing(error: unknown): boolean {
  return isAppError(error, 'REGISTRY_UNAVAILABLE');
}
