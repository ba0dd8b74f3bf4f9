import { type ContentVerifier, HASH_LENGTH, type HashBatch, HashList, openHashBatch } from '@sealift/bittorrent';
import type { Logger } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';

/** Bytes of the signature at the start of a batch (docs/protocol.md, `sl_hashes`). */
const SIGNATURE_LENGTH = 64;

interface Kept {
  readonly record: Buffer;
  readonly firstIndex: number;
  readonly count: number;
  readonly isComplete: boolean;
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
  }

  /** The signed batches, to send to those who come. */
  get records(): readonly Buffer[] {
    return this.#kept.map(({ record }) => record);
  }

  /**
   * Takes a batch that somebody sent. Returns it if it is news, to be passed on; throws `HASH_BATCH_INVALID` if it is not
   * signed by the cluster or contradicts what is known.
   */
  take(bytes: Uint8Array): HashBatch | undefined {
    // Each neighbour passes on each batch; only the first one is worth a signature check.
    if (this.#signatures.has(signatureOf(bytes))) return undefined;
    const record = Buffer.from(bytes);
    const batch = this.#admit(record);
    if (batch === undefined) return undefined;
    if (this.list.isComplete) this.#compact();
    else this.#write(() => this.#blob.appendHashes(record));
    return batch;
  }

  /** Resolves when what was taken so far is in the store, or was refused by it. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  #admit(record: Buffer): HashBatch | undefined {
    const batch = openHashBatch(record, this.#verifier());
    const { isNews } = this.list.add(batch);
    this.#signatures.add(signatureOf(record));
    // A batch of the final list replaces many short ones, also where it tells nothing new.
    if (!isNews && !batch.isComplete) return undefined;
    const count = batch.hashes.length / HASH_LENGTH;
    this.#kept.push({ record, firstIndex: batch.firstIndex, count, isComplete: batch.isComplete });
    return batch;
  }

  /** Keeps as few batches as cover all pieces: the long ones of the final list in place of one a piece. */
  #compact(): void {
    const covered = new Uint8Array(this.#blob.geometry.pieceCount);
    const needed: Kept[] = [];
    const longestFirst = this.#kept.toSorted(
      (a, b) => Number(b.isComplete) - Number(a.isComplete) || b.count - a.count || a.firstIndex - b.firstIndex,
    );
    for (const kept of longestFirst) {
      const range = covered.subarray(kept.firstIndex, kept.firstIndex + kept.count);
      const isFirstComplete = kept.isComplete && needed.length === 0;
      if (!range.includes(0) && !isFirstComplete) continue;
      range.fill(1);
      needed.push(kept);
    }
    this.#kept = needed.sort((a, b) => a.firstIndex - b.firstIndex);
    const records = this.records;
    this.#write(() => this.#blob.replaceHashes(records));
  }

  /** In order, and never in the way: a blob whose list did not reach the disk only costs asking for it again. */
  #write(write: () => Promise<void>): void {
    this.#writing = this.#writing.then(write).catch((error: unknown) => {
      this.#log.warn('store_write_failed', { swarmId: this.#blob.swarmId, error });
    });
  }
}

function signatureOf(record: Uint8Array): string {
  return Buffer.from(record.buffer, record.byteOffset, Math.min(record.length, SIGNATURE_LENGTH)).toString('latin1');
}
