import { type ContentVerifier, HASH_LENGTH, type HashBatch, HashList, openHashBatch } from '@sealift/bittorrent';
import { Bitfield, ES256_LENGTH, keptBytes, type Logger } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';

interface Kept {
  readonly record: Buffer;
  readonly startedAt: number;
  readonly firstIndex: number;
  readonly count: number;
  readonly isComplete: boolean;
}

/** A batch that is news, and the pieces whose hash it changed. */
export interface TakenHashes {
  readonly batch: HashBatch;
  /** Pieces whose hash was not known before, or was another. */
  readonly changed: readonly number[];
  /** Those of them that had another hash. */
  readonly replaced: readonly number[];
}

/**
 * The signed piece hashes of one blob: checks batches, knows which ones are news, keeps them beside the blob, and holds
 * the signed bytes for those who come later.
 */
export class HashKeeper {
  readonly list: HashList;
  readonly #blob: StoredBlob;
  readonly #verifier: () => ContentVerifier;
  readonly #log: Logger;
  readonly #signatures = new Set<string>();
  #kept: Kept[] = [];
  /** The final list is all that is kept, in as few batches as there are. */
  #isCompact = false;
  /** What the file is yet to hold, in order. */
  #unwritten: Buffer[] = [];
  #writing: Promise<void> = Promise.resolve();

  /** Loads what the store holds; a record that no longer verifies, after a change of keys, is left out. */
  constructor({ blob, verifier, log }: { blob: StoredBlob; verifier: () => ContentVerifier; log: Logger }) {
    this.#blob = blob;
    this.#verifier = verifier;
    this.#log = log;
    this.list = new HashList({ swarmId: blob.swarmId, digest: blob.digest, geometry: blob.geometry });
    for (const record of blob.hashRecords) {
      try {
        this.#admit(record);
      } catch (error) {
        log.debug('store_blob_dropped', { swarmId: blob.swarmId, error });
      }
    }
    this.#compact();
  }

  /** The signed batches, to send to those who come. */
  get records(): readonly Buffer[] {
    return this.#kept.map(({ record }) => record);
  }

  /**
   * Takes a batch that somebody sent. Returns it if it is news, to be passed on; throws `HASH_BATCH_INVALID` if it is not
   * signed by the cluster or contradicts its own ingest. The disk hears of the batch with the next {@link flush}, and not
   * before what `settling` returns has come to its end.
   */
  take(bytes: Uint8Array, settling?: (taken: TakenHashes) => Promise<void> | undefined): TakenHashes | undefined {
    // Each neighbour passes on each batch; only the first one is worth a signature check.
    if (this.#signatures.has(signatureOf(bytes))) return undefined;
    const record = keptBytes(bytes);
    const { startedAt } = this.list;
    const taken = this.#admit(record);
    if (taken === undefined) return undefined;
    // Should we die in between, the next process must not find a piece beside a hash that is not its own.
    const settled = settling?.(taken);
    if (settled !== undefined) {
      this.flush();
      this.#write(() => settled);
    }
    if (this.#compact() || this.#forget(startedAt)) {
      const records = this.records;
      this.#unwritten = [];
      this.#write(() => this.#blob.replaceHashes(records));
    } else this.#unwritten.push(record);
    return taken;
  }

  /**
   * Writes what has gathered: a batch comes every tenth of a second and more often, and opening the file for each costs as
   * much as checking it. Called a few times a second.
   */
  flush(): void {
    if (this.#unwritten.length === 0) return;
    const records = this.#unwritten;
    this.#unwritten = [];
    this.#write(() => this.#blob.appendHashes(...records));
  }

  /** Resolves when what was taken so far is in the store, or was refused by it. */
  async settled(): Promise<void> {
    this.flush();
    await this.#writing;
  }

  #admit(record: Buffer): TakenHashes | undefined {
    const batch = openHashBatch(record, this.#verifier());
    const wasCompact = this.#isCompact;
    const { isNews, changed, replaced } = this.list.add(batch);
    this.#signatures.add(signatureOf(record));
    // A batch of the final list replaces many short ones, also where it tells nothing new.
    if (!isNews && (!batch.isComplete || wasCompact)) return undefined;
    const { startedAt, firstIndex, isComplete } = batch;
    this.#kept.push({ record, startedAt, firstIndex, count: batch.hashes.length / HASH_LENGTH, isComplete });
    return { batch, changed, replaced };
  }

  /** Drops what was superseded: batches of older ingests tell nobody anything once a newer one has begun. */
  #forget(startedAt: number): boolean {
    if (this.list.startedAt === startedAt || startedAt === 0) return false;
    this.#kept = this.#kept.filter((kept) => kept.isComplete || kept.startedAt === this.list.startedAt);
    return true;
  }

  /** Keeps the long batches of the final list in place of one a piece, once they cover it alone. `true` if it did. */
  #compact(): boolean {
    if (!this.list.isComplete || this.#isCompact) return false;
    const covered = new Bitfield(this.#blob.geometry.pieceCount);
    const needed: Kept[] = [];
    for (const kept of this.#kept.filter(({ isComplete }) => isComplete).toSorted((a, b) => b.count - a.count)) {
      const before = covered.count;
      for (let index = kept.firstIndex; index < kept.firstIndex + kept.count; index += 1) covered.add(index);
      if (covered.count > before) needed.push(kept);
    }
    if (!covered.isFull) return false;
    this.#kept = needed.sort((a, b) => a.firstIndex - b.firstIndex);
    this.#isCompact = true;
    return true;
  }

  /** In order, and never in the way: a blob whose list did not reach the disk only costs asking for it again. */
  #write(write: () => Promise<void>): void {
    this.#writing = this.#writing.then(write).catch((error: unknown) => {
      this.#log.debug('store_write_failed', { swarmId: this.#blob.swarmId, error });
    });
  }
}

function signatureOf(record: Uint8Array): string {
  return Buffer.from(record.buffer, record.byteOffset, Math.min(record.length, ES256_LENGTH)).toString('latin1');
}
