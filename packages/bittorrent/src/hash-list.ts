import { AppError, Bitfield, type Digest, type PieceGeometry, type SwarmId } from '@sealift/core';
import { HASH_LENGTH, type HashBatch } from './hash-batch.ts';
import { MAX_PIECE_COUNT } from './message.ts';

/** What a batch brought. */
export interface AddedHashes {
  /** The pieces of the batch, if it counted. */
  readonly firstIndex: number;
  readonly count: number;
  /** False for a batch that adds nothing, so that peers pass on each batch once and none goes round for ever. */
  readonly isNews: boolean;
  /** Pieces of the batch whose hash was not known, or was another. Who holds one of them must check it anew. */
  readonly changed: readonly number[];
  /** Those of {@link changed} that had another hash: somebody read something false from the registry. */
  readonly replaced: readonly number[];
}

/**
 * The piece hashes of one blob, as they become known. Takes only batches that were opened with `openHashBatch`, and
 * refuses those of another blob, and a second hash for a piece from one ingest.
 *
 * A signature does not end, so an old batch can come again. The newest ingest counts, and above it what a complete ingest
 * signed, since the digest has proven that; all else is ignored (docs/protocol.md, "Which batch counts"). Holds 32 bytes
 * and three bits a piece.
 */
export class HashList {
  readonly #swarmId: SwarmId;
  readonly #digest: Digest;
  readonly #geometry: PieceGeometry;
  readonly #hashes: Buffer;
  readonly #known: Bitfield;
  /** The pieces whose hash the digest of the blob has proven. */
  readonly #proven: Bitfield;
  /** The pieces whose hash the newest ingest gave. */
  #current: Bitfield;
  #startedAt = 0;
  #isCurrentProven = false;
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
    this.#proven = new Bitfield(pieceCount);
    this.#current = new Bitfield(pieceCount);
  }

  /** Start of the newest ingest that is known, in ms since the epoch; 0 before the first batch. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** Pieces whose hash is known. */
  get knownCount(): number {
    return this.#known.count;
  }

  /** All hashes are known and signed as making the digest. This is final. */
  get isComplete(): boolean {
    return this.#proven.isFull;
  }

  /** The newest ingest is signed as false, and no complete list says otherwise. Ends only when a newer ingest begins. */
  get isWithdrawn(): boolean {
    return this.#isWithdrawn && !this.isComplete;
  }

  /** The SHA-256 of piece `index`, as a view; `undefined` as long as no batch gave it, and out of range. */
  hashOf(index: number): Uint8Array | undefined {
    if (!this.#known.has(index)) return undefined;
    return this.#hashes.subarray(index * HASH_LENGTH, (index + 1) * HASH_LENGTH);
  }

  /** Whether the newest ingest has given, or confirmed, the hash of piece `index`. */
  isCurrent(index: number): boolean {
    return this.#current.has(index);
  }

  /**
   * Takes a batch in whole or not at all; throws `HASH_BATCH_INVALID` if it contradicts another of its own ingest or what
   * the digest has proven.
   */
  add(batch: HashBatch): AddedHashes {
    this.#checkBlob(batch);
    const { startedAt, isWithdrawn, isComplete } = batch;
    const isOld = startedAt < this.#startedAt;
    // A replay. What a complete ingest signed is true whenever it began.
    if (!isComplete && (isOld || this.isComplete)) return nothing(batch);
    if (isWithdrawn) return this.#withdraw(batch);
    const isProof = isComplete || (startedAt === this.#startedAt && this.#isCurrentProven);
    const count = this.#checkHashes(batch, { isProof });
    const isNewIngest = startedAt > this.#startedAt;
    if (isNewIngest) this.#begin(startedAt);
    const isNewProof = isComplete && !isOld && this.#prove();
    const { isNews, changed, replaced } = this.#take(batch, { isProof, isOld });
    return { firstIndex: batch.firstIndex, count, isNews: isNews || isNewIngest || isNewProof, changed, replaced };
  }

  #begin(startedAt: number): void {
    this.#startedAt = startedAt;
    this.#current = new Bitfield(this.#geometry.pieceCount);
    this.#isCurrentProven = false;
    this.#isWithdrawn = false;
  }

  /** The newest ingest is true: so is what it has given. `false` if that was known. */
  #prove(): boolean {
    if (this.#isCurrentProven) return false;
    this.#isCurrentProven = true;
    for (let index = 0; index < this.#current.length; index += 1) if (this.#current.has(index)) this.#proven.add(index);
    return true;
  }

  #take(
    { firstIndex, hashes }: HashBatch,
    { isProof, isOld }: { isProof: boolean; isOld: boolean },
  ): Pick<AddedHashes, 'isNews' | 'changed' | 'replaced'> {
    const changed: number[] = [];
    const replaced: number[] = [];
    let isNews = false;
    for (let start = 0; start < hashes.length; start += HASH_LENGTH) {
      const index = firstIndex + start / HASH_LENGTH;
      const isSame = this.#isSame(index, hashes, start);
      // Told by an ingest that is going to be withdrawn.
      if (!isProof && !isSame && this.#proven.has(index)) continue;
      if (!isSame) {
        changed.push(index);
        if (this.#known.has(index)) replaced.push(index);
        if (isOld) this.#current.delete(index);
        hashes.copy(this.#hashes, index * HASH_LENGTH, start, start + HASH_LENGTH);
        this.#known.add(index);
        isNews = true;
      }
      if (isProof) isNews = this.#proven.add(index) || isNews;
      if (!isOld) isNews = this.#current.add(index) || isNews;
    }
    return { isNews, changed, replaced };
  }

  #withdraw(batch: HashBatch): AddedHashes {
    const isNews = !this.#isWithdrawn || batch.startedAt > this.#startedAt;
    if (batch.startedAt > this.#startedAt) this.#begin(batch.startedAt);
    this.#isWithdrawn = true;
    // Whatever else it says: contradictions are a reason more to drop the blob.
    return { ...nothing(batch), isNews };
  }

  #isSame(index: number, hashes: Buffer, start: number): boolean {
    const known = this.hashOf(index);
    return known !== undefined && hashes.compare(known, 0, HASH_LENGTH, start, start + HASH_LENGTH) === 0;
  }

  #checkBlob({ swarmId, digest, size, pieceLength }: HashBatch): void {
    if (swarmId !== this.#swarmId || digest !== this.#digest) throw invalid('of another swarm');
    if (size !== this.#geometry.size || pieceLength !== this.#geometry.pieceLength) throw invalid('of another size');
  }

  #checkHashes({ startedAt, firstIndex, hashes }: HashBatch, { isProof }: { isProof: boolean }): number {
    const count = hashes.length / HASH_LENGTH;
    if (!Number.isInteger(count) || firstIndex + count > this.#geometry.pieceCount) {
      throw invalid('hashes of pieces that the blob does not have');
    }
    for (let offset = 0; offset < count; offset += 1) {
      const index = firstIndex + offset;
      const isOwn = startedAt === this.#startedAt && this.#current.has(index);
      // A proof corrects whatever is not proven itself, its own ingest included.
      const mustAgree = isProof ? this.#proven.has(index) : isOwn;
      if (mustAgree && !this.#isSame(index, hashes, offset * HASH_LENGTH))
        throw invalid('second hash for a piece', index);
    }
    return count;
  }
}

function nothing({ firstIndex }: HashBatch): AddedHashes {
  return { firstIndex, count: 0, isNews: false, changed: [], replaced: [] };
}

function invalid(reason: string, pieceIndex?: number): AppError {
  return new AppError('HASH_BATCH_INVALID', { reason, pieceIndex });
}
