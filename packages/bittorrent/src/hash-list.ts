import { AppError, Bitfield, type Digest, type PieceGeometry, type SwarmId } from '@sealift/core';
import { HASH_LENGTH, type HashBatch } from './hash-batch.ts';
import { MAX_PIECE_COUNT } from './message.ts';

/** What a batch brought. */
export interface AddedHashes {
  /** The pieces whose hash is known now, if it was not before. */
  readonly firstIndex: number;
  readonly count: number;
  /** False for a batch that adds nothing, so that peers pass on each batch once and none goes round for ever. */
  readonly isNews: boolean;
}

/**
 * The piece hashes of one blob, as they become known. Takes only batches that were opened with `openHashBatch`, and
 * refuses those of another blob or that give a piece a second hash. Holds 32 bytes a piece and nothing else.
 */
export class HashList {
  readonly #swarmId: SwarmId;
  readonly #digest: Digest;
  readonly #geometry: PieceGeometry;
  readonly #hashes: Buffer;
  readonly #known: Bitfield;
  #isSignedComplete = false;
  #isWithdrawn = false;

  /** Throws `GEOMETRY_INVALID` for more than {@link MAX_PIECE_COUNT} pieces: no peer could say which of them it holds. */
  constructor({ swarmId, digest, geometry }: { swarmId: SwarmId; digest: Digest; geometry: PieceGeometry }) {
    const { pieceCount } = geometry;
    if (pieceCount > MAX_PIECE_COUNT) throw new AppError('GEOMETRY_INVALID', { pieceCount });
    this.#swarmId = swarmId;
    this.#digest = digest;
    this.#geometry = geometry;
    this.#hashes = Buffer.alloc(pieceCount * HASH_LENGTH);
    this.#known = new Bitfield(pieceCount);
  }

  /** Pieces whose hash is known. */
  get knownCount(): number {
    return this.#known.count;
  }

  /** The blob is signed as matching its digest, all hashes are known, and nobody has withdrawn it. */
  get isComplete(): boolean {
    return this.#isSignedComplete && this.#known.isFull && !this.#isWithdrawn;
  }

  /** The blob is signed as false. This is final: a later batch does not bring it back. */
  get isWithdrawn(): boolean {
    return this.#isWithdrawn;
  }

  /** The SHA-256 of piece `index`, as a view; `undefined` as long as no batch gave it, and out of range. */
  hashOf(index: number): Uint8Array | undefined {
    if (!this.#known.has(index)) return undefined;
    return this.#hashes.subarray(index * HASH_LENGTH, (index + 1) * HASH_LENGTH);
  }

  /**
   * Takes a batch in whole or not at all; throws `HASH_BATCH_INVALID` if it contradicts what is known.
   */
  add(batch: HashBatch): AddedHashes {
    this.#checkBlob(batch);
    if (batch.isWithdrawn) return this.#withdraw(batch);
    const { firstIndex } = batch;
    const count = batch.hashes.length / HASH_LENGTH;
    this.#checkHashes(batch, count);
    let isNews = batch.isComplete && !this.#isSignedComplete;
    for (let index = firstIndex; index < firstIndex + count; index += 1) isNews = this.#known.add(index) || isNews;
    batch.hashes.copy(this.#hashes, firstIndex * HASH_LENGTH);
    this.#isSignedComplete ||= batch.isComplete;
    return { firstIndex, count, isNews };
  }

  /** A withdrawal holds whatever else its batch says: contradictions are a reason more to drop the blob. */
  #withdraw({ firstIndex }: HashBatch): AddedHashes {
    const isNews = !this.#isWithdrawn;
    this.#isWithdrawn = true;
    return { firstIndex, count: 0, isNews };
  }

  #checkBlob({ swarmId, digest, size, pieceLength }: HashBatch): void {
    if (swarmId !== this.#swarmId || digest !== this.#digest) throw invalid('of another swarm');
    if (size !== this.#geometry.size || pieceLength !== this.#geometry.pieceLength) throw invalid('of another size');
  }

  #checkHashes({ firstIndex, hashes }: HashBatch, count: number): void {
    if (!Number.isInteger(count) || firstIndex + count > this.#geometry.pieceCount) {
      throw invalid('hashes of pieces that the blob does not have');
    }
    for (let offset = 0; offset < count; offset += 1) {
      const known = this.hashOf(firstIndex + offset);
      const start = offset * HASH_LENGTH;
      if (known !== undefined && hashes.compare(known, 0, HASH_LENGTH, start, start + HASH_LENGTH) !== 0) {
        throw invalid('second hash for a piece', firstIndex + offset);
      }
    }
  }
}

function invalid(reason: string, pieceIndex?: number): AppError {
  return new AppError('HASH_BATCH_INVALID', { reason, pieceIndex });
}
