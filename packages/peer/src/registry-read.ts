import { createHash, type Hash } from 'node:crypto';
import {
  AppError,
  type BlobRef,
  type Clock,
  digestFromSha256,
  isAppError,
  type PieceGeometry,
  pieceSize,
} from '@sealift/core';
import type { RegistryClient } from '@sealift/registry';
import type { StoredBlob } from '@sealift/store';
import type { Ingest } from './ingest.ts';
import { atPace } from './registry-pace.ts';

/**
 * Bytes of pieces that are on their way into the store while the next one is read, at most, but always one piece. Enough
 * that neither disk nor registry waits for the other from piece to piece; each read holds so much memory.
 */
const UNDER_WAY_BYTES = 2 * 1024 * 1024;

/** A part of an answer from the registry: what is left of the blob from `offset` on. */
export type BlobBody = Awaited<ReturnType<RegistryClient['openBlob']>>;

/**
 * One blob on its way from the registry into a swarm: cuts the body into pieces, hands each to the ingest at once, and
 * keeps the running SHA-256 of the whole. It can go on where a broken body ended, in the same process or, from what the
 * store holds, in the next one. An error that is not the registry's leaves it unusable.
 */
export class RegistryRead {
  readonly blob: BlobRef;
  readonly #geometry: PieceGeometry;
  readonly #ingest: Ingest;
  readonly #clock: Clock;
  #hash: Hash = createHash('sha256');
  #nextPiece = 0;
  /** Bytes of `#piece` that are filled. */
  #filled = 0;
  #piece: ArrayBuffer;
  readonly #underWay = new Set<Promise<void>>();
  readonly #maxUnderWay: number;
  /** Buffers that have come back. */
  readonly #spare: ArrayBuffer[] = [];
  /** Why the ingest refused a piece; nothing more can be handed to it. */
  #failure: unknown;

  constructor(options: { blob: BlobRef; geometry: PieceGeometry; ingest: Ingest; clock: Clock }) {
    this.blob = options.blob;
    this.#geometry = options.geometry;
    this.#ingest = options.ingest;
    this.#clock = options.clock;
    const { pieceLength } = options.geometry;
    this.#piece = new ArrayBuffer(pieceLength);
    this.#maxUnderWay = Math.max(1, Math.floor(UNDER_WAY_BYTES / pieceLength));
  }

  /** Where the next byte belongs. */
  get offset(): number {
    return Math.min(this.#nextPiece * this.#geometry.pieceLength + this.#filled, this.#geometry.size);
  }

  /** Bytes of the whole blob. */
  get size(): number {
    return this.#geometry.size;
  }

  /** All bytes are read. */
  get isAtEnd(): boolean {
    return this.offset === this.#geometry.size;
  }

  /**
   * Takes over the first `pieceCount` pieces from an earlier process, as if the registry sent them: they are hashed anew
   * and signed by this ingest. Throws errors of the store.
   */
  async resumeFrom(stored: StoredBlob, pieceCount: number, { signal }: { signal: AbortSignal }): Promise<void> {
    await this.#handingOver(async () => {
      while (this.#nextPiece < pieceCount) {
        signal.throwIfAborted();
        const bytes = new Uint8Array(this.#piece, 0, pieceSize(this.#geometry, this.#nextPiece));
        await stored.read(this.offset, bytes);
        this.#hash.update(bytes);
        await this.#completePiece();
        this.#ingest.progress(this.offset);
      }
    });
  }

  /** Begins anew, for a registry that gives a blob only as a whole. Pieces that are there are not stored twice. */
  restart(): void {
    this.#hash = createHash('sha256');
    this.#nextPiece = 0;
    this.#filled = 0;
  }

  /**
   * Reads a body to its end, and closes it. Throws `REGISTRY_UNAVAILABLE` when it ends too early or comes too slowly
   * (`MIN_PACE_BYTES`), and `GEOMETRY_INVALID` when the blob is not as long as the registry has said before.
   */
  async take({ body, offset, size }: BlobBody, { signal }: { signal: AbortSignal }): Promise<void> {
    try {
      if (offset !== this.offset)
        throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'it sent another range than asked for' });
      if (size !== undefined && size !== this.#geometry.size) throw this.#otherSize();
      await this.#handingOver(async () => {
        for await (const chunk of atPace(body, { clock: this.#clock })) {
          signal.throwIfAborted();
          await this.#push(chunk);
          this.#ingest.progress(this.offset);
        }
      });
      if (!this.isAtEnd) throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'it closed before the end of the blob' });
    } finally {
      body.destroy();
    }
  }

  /** Whether all that was read is the blob that its digest names. Ends the running hash. */
  finish(): boolean {
    return this.isAtEnd && digestFromSha256(this.#hash.digest()) === this.blob.digest;
  }

  async #push(chunk: Uint8Array): Promise<void> {
    if (this.offset + chunk.length > this.#geometry.size) throw this.#otherSize();
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

  /** Hands the piece over. It is hashed and written while the next one is read. */
  async #completePiece(): Promise<void> {
    this.#demandIntact();
    const adding = this.#ingest
      .addPiece(this.#nextPiece, this.#piece)
      .then(
        (buffer) => void this.#spare.push(buffer),
        (error: unknown) => {
          this.#failure ??= error;
        },
      )
      .finally(() => this.#underWay.delete(adding));
    this.#underWay.add(adding);
    this.#nextPiece += 1;
    this.#filled = 0;
    if (this.#underWay.size >= this.#maxUnderWay) await Promise.race(this.#underWay);
    this.#demandIntact();
    this.#piece = this.#spare.pop() ?? new ArrayBuffer(this.#geometry.pieceLength);
  }

  /** Runs `read`, and waits for the pieces that it handed over. What the ingest says of them comes before any other error. */
  async #handingOver(read: () => Promise<void>): Promise<void> {
    this.#demandIntact();
    const [outcome] = await Promise.allSettled([read()]);
    await Promise.all(this.#underWay);
    // A read that waits for another body holds one piece in memory.
    this.#spare.length = 0;
    this.#demandIntact();
    if (outcome.status === 'rejected') throw outcome.reason;
  }

  #demandIntact(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #otherSize(): AppError {
    return new AppError('GEOMETRY_INVALID', { reason: 'the registry said that the blob is longer or shorter' });
  }
}

/** Whether a read may be tried again with the same credentials: the registry failed, and did not say no. */
export function isPassing(error: unknown): boolean {
  return isAppError(error, 'REGISTRY_UNAVAILABLE') && !provesOtherSize(error);
}

/** Whether the credentials of a read have ended, or never were good: those of another requester may go on. */
export function isRefusal(error: unknown): boolean {
  return isAppError(error, 'REGISTRY_REFUSED') || isAppError(error, 'AUTHORIZATION_INVALID');
}

const REGISTRY_FAULTS: ReadonlySet<string> = new Set([
  'REGISTRY_UNAVAILABLE',
  'REGISTRY_REFUSED',
  'AUTHORIZATION_INVALID',
]);

/** Whether the registry, or the credentials for it, and not the store or we, ended the read: it can go on where it was. */
export function isRegistryFault(error: unknown): boolean {
  return isAppError(error) && REGISTRY_FAULTS.has(error.code);
}

/** Whether the blob cannot be as long as the registry has said: all that was signed with that size is void. */
export function provesOtherSize(error: unknown): boolean {
  if (isAppError(error, 'GEOMETRY_INVALID')) return true;
  // Asked for a range inside of the blob, it says that there is no such range (RFC 9110 §15.5.17).
  return isAppError(error, 'REGISTRY_UNAVAILABLE') && error.details['status'] === 416;
}

/** Whether the registry gave a part of the blob, and not the one that was asked for. */
export function givesOtherRange(error: unknown): boolean {
  return isAppError(error, 'REGISTRY_UNAVAILABLE') && error.details['status'] === 206;
}

/** Whether the registry gives the blob only as a whole. */
export function ignoresRange(error: unknown): boolean {
  return isAppError(error, 'REGISTRY_UNAVAILABLE') && error.details['status'] === 200;
}
