import { rm, utimes, writeFile } from 'node:fs/promises';
import { AppError, Bitfield, type Clock, isAppError, type Logger, pieceSize } from '@sealift/core';
import { syncPath } from './atomic-file.ts';
import { type LoadedBlob, retireBlobDirectory } from './blob-directory.ts';
import type { BlobDescription } from './blob-meta.ts';
import { asDiskError, isMissing } from './disk-error.ts';
import type { DiskHealth } from './disk-health.ts';
import { HashFile } from './hash-file.ts';
import type { OpenFiles } from './open-files.ts';
import type { BlobFds } from './piece-task.ts';
import type { PieceDone, PieceWorker } from './piece-worker.ts';
import { footprint, HASH_LENGTH, maxHashBytes } from './quota.ts';
import { readFully } from './read-fully.ts';
import type { StoredBlob, VerifyResult } from './stored-blob.ts';
import { demandVerified } from './verified-range.ts';

/** How stale the time of the last use on disk may be, in ms. Eviction after a restart does not need it finer. */
const TOUCH_INTERVAL_MS = 60_000;

/** What all blobs of a store share. */
export interface BlobEnvironment {
  readonly files: OpenFiles;
  readonly worker: PieceWorker;
  readonly health: DiskHealth;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The {@link StoredBlob} over files, and what only the store may do with it. */
export class DiskBlob implements StoredBlob {
  readonly swarmId: StoredBlob['swarmId'];
  readonly registry: StoredBlob['registry'];
  readonly digest: StoredBlob['digest'];
  readonly geometry: StoredBlob['geometry'];
  readonly bitfield: Bitfield;
  readonly proven: Bitfield;
  /** Bytes that count against the quota. */
  readonly footprint: number;
  readonly #environment: BlobEnvironment;
  readonly #paths: LoadedBlob['paths'];
  readonly #hashes: HashFile;
  #unchecked: Bitfield | undefined;
  #isMarkedComplete: boolean;
  #lastUsedAt: number;
  #touchedAt: number;
  /** Written to since it was last known to be on the disk for good. */
  #isDirty = false;
  #pins = 0;
  #operations = 0;
  #isRetired = false;
  #isClosed = false;
  #wake: (() => void) | undefined;
  /** Pieces that are being proven. */
  readonly #proving = new Map<number, Promise<boolean>>();

  constructor(loaded: LoadedBlob, environment: BlobEnvironment) {
    ({ swarmId: this.swarmId, registry: this.registry, digest: this.digest } = loaded.description);
    this.geometry = loaded.description.geometry;
    this.bitfield = loaded.bitfield;
    this.proven = new Bitfield(this.geometry.pieceCount);
    this.footprint = footprint(this.geometry);
    this.#environment = environment;
    this.#paths = loaded.paths;
    this.#unchecked = loaded.unchecked;
    this.#isMarkedComplete = loaded.isMarkedComplete;
    this.#lastUsedAt = loaded.lastUsedAt;
    this.#touchedAt = loaded.lastUsedAt;
    this.#hashes = new HashFile({
      paths: loaded.paths,
      maxBytes: maxHashBytes(this.geometry),
      records: loaded.hashRecords,
      length: loaded.hashLength,
    });
  }

  get description(): BlobDescription {
    return this;
  }

  get dataFile(): string {
    return this.#paths.data;
  }

  get isComplete(): boolean {
    return this.#isMarkedComplete && this.bitfield.isFull;
  }

  get hashRecords(): readonly Buffer[] {
    return this.#hashes.records;
  }

  get isPinned(): boolean {
    return this.#pins > 0;
  }

  get lastUsedAt(): number {
    return this.#lastUsedAt;
  }

  /** Whether the store must not show it yet: some pieces were not on the disk for good when the machine went down. */
  get isUnchecked(): boolean {
    return this.#unchecked !== undefined;
  }

  async writePiece(
    index: number,
    data: ArrayBuffer,
    sha256: Uint8Array,
  ): Promise<{ verified: boolean; buffer: ArrayBuffer }> {
    if (sha256.length !== HASH_LENGTH) throw new AppError('PIECE_REJECTED', { reason: 'no SHA-256', index });
    // A copy, because what the caller passed may be a view of a long hash list, which would be cloned as a whole.
    const { outcome, buffer } = await this.#write(index, data, Uint8Array.from(sha256));
    return { verified: outcome === 'verified', buffer: buffer ?? new ArrayBuffer(0) };
  }

  async takePiece(index: number, data: ArrayBuffer): Promise<{ sha256: Uint8Array; buffer: ArrayBuffer }> {
    const { sha256, buffer } = await this.#write(index, data, undefined);
    // The worker tells the hash wherever it was not given.
    return { sha256: sha256 as Uint8Array, buffer: buffer ?? new ArrayBuffer(0) };
  }

  async #write(index: number, buffer: ArrayBuffer, sha256: Uint8Array | undefined): Promise<PieceDone> {
    const size = this.#sizeOfPiece(index);
    if (buffer.byteLength < size) throw new AppError('PIECE_REJECTED', { reason: 'the buffer is too short', index });
    this.#isDirty = true;
    try {
      const position = index * this.geometry.pieceLength;
      const done = await this.#useFiles(
        (files) => this.#environment.worker.run({ kind: 'write', files, index, position, size, buffer, sha256 }),
        { isWriting: true },
      );
      if (done.outcome === 'conflict') {
        throw new AppError('PIECE_REJECTED', { reason: 'the piece is held under another hash', index });
      }
      if (done.outcome === 'verified') {
        this.bitfield.add(index);
        this.proven.add(index);
        this.#environment.health.succeeded();
      }
      this.touch();
      return done;
    } catch (error) {
      if (isAppError(error, 'STORE_FULL') || isAppError(error, 'STORE_FAULT')) {
        this.#environment.log.debug('store_write_failed', { swarmId: this.swarmId, pieceIndex: index, error });
      }
      throw error;
    }
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    demandVerified(this, offset, into.length);
    this.touch();
    await this.#useFiles(({ data }) => readFully(data, into, offset));
    // A check may have dropped a piece meanwhile; then these bytes are not what they were taken for.
    demandVerified(this, offset, into.length);
  }

  prove(index: number): Promise<boolean> {
    if (!this.bitfield.has(index)) return Promise.reject(new AppError('PIECE_MISSING', { index }));
    if (this.proven.has(index)) return Promise.resolve(true);
    let proving = this.#proving.get(index);
    if (proving === undefined) {
      proving = this.#prove(index).finally(() => this.#proving.delete(index));
      this.#proving.set(index, proving);
    }
    return proving;
  }

  async confirm(pieces: readonly { index: number; sha256: Uint8Array }[]): Promise<readonly number[]> {
    const held = pieces.filter(({ index }) => this.bitfield.has(index));
    // A copy, because what the caller passed may be a view of a hash list that goes on changing.
    const expected = held.map(({ index, sha256 }) => ({ index, sha256: Uint8Array.from(sha256) }));
    for (const { index } of expected) this.bitfield.delete(index);
    this.#isDirty = true;
    const confirmed: number[] = [];
    for (const { index, sha256 } of expected) {
      const size = this.#sizeOfPiece(index);
      const position = index * this.geometry.pieceLength;
      const { outcome } = await this.#useFiles((files) =>
        this.#environment.worker.run({ kind: 'confirm', files, index, position, size, sha256 }),
      );
      if (outcome === 'verified') {
        this.bitfield.add(index);
        confirmed.push(index);
      } else await this.#unmarkComplete();
    }
    return confirmed;
  }

  appendHashes(...records: readonly Uint8Array[]): Promise<void> {
    return this.#change(() => this.#hashes.append(records));
  }

  replaceHashes(records: readonly Uint8Array[]): Promise<void> {
    return this.#change(() => this.#hashes.replace(records));
  }

  async markComplete(): Promise<void> {
    if (!this.bitfield.isFull) throw new AppError('PIECE_MISSING', { reason: 'the blob is not complete' });
    await this.#change(() => writeFile(this.#paths.complete, '', { mode: 0o600 }));
    this.#isMarkedComplete = true;
  }

  pin(): () => void {
    if (this.#isRetired || this.#isClosed) throw new AppError('STORE_CLOSED', { reason: 'the blob is gone' });
    this.#pins += 1;
    this.touch();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#pins -= 1;
      this.#wakeIfUnused();
    };
  }

  async verify({ signal }: { signal?: AbortSignal } = {}): Promise<VerifyResult> {
    let checked = 0;
    const dropped: number[] = [];
    for (let index = 0; index < this.geometry.pieceCount && signal?.aborted !== true; index += 1) {
      if (!this.bitfield.has(index)) continue;
      checked += 1;
      if (!(await this.#checkPiece(index))) dropped.push(index);
    }
    if (dropped.length > 0) {
      this.#environment.log.warn('store_blob_checked', {
        swarmId: this.swarmId,
        pieces: checked,
        dropped: dropped.length,
      });
    }
    return { checked, dropped };
  }

  /** Counts as a use now, for the order of eviction. */
  touch(): void {
    this.#lastUsedAt = this.#environment.clock.now();
    if (Math.abs(this.#lastUsedAt - this.#touchedAt) >= TOUCH_INTERVAL_MS) void this.#persistUse();
  }

  /** Hashes the pieces that are not trusted since a power loss; keeps the good ones. To be run once at a time. */
  async recheck(): Promise<void> {
    const unchecked = this.#unchecked;
    if (unchecked === undefined) return;
    this.#isDirty = true;
    let dropped = 0;
    for (let index = 0; index < this.geometry.pieceCount; index += 1) {
      if (!unchecked.has(index) || this.bitfield.has(index)) continue;
      if (!(await this.#checkPiece(index))) dropped += 1;
    }
    await this.#change(() => rm(this.#paths.unchecked, { force: true }));
    this.#unchecked = undefined;
    this.#environment.log.info('store_blob_checked', { swarmId: this.swarmId, pieces: unchecked.count, dropped });
  }

  /**
   * Takes the blob off the disk. What is pinned stays readable until it is let go; `isGone` settles when the files are.
   * Resolves when a restart would no longer find the blob.
   */
  async retire(): Promise<{ isGone: Promise<void> }> {
    this.#isRetired = true;
    await retireBlobDirectory(this.#paths);
    return { isGone: this.#removeFiles() };
  }

  /** Refuses further use, waits for the running calls and closes the files. Pins hold nothing any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wakeIfUnused();
    await this.#unused();
    await this.#environment.files.close(this.#paths);
    if (!this.#isRetired && this.#touchedAt !== this.#lastUsedAt) await this.#persistUse();
  }

  /** Brings all that was written to the disk; with `isForced`, also what an earlier process wrote. */
  async sync({ isForced }: { isForced: boolean }): Promise<void> {
    if (this.#isRetired || !(this.#isDirty || isForced)) return;
    const { data, pieces, bitmap, hashes, unchecked, complete, meta, directory } = this.#paths;
    // The bitmap last: should the power fail right here, its bits are worth no more than the data below them.
    for (const path of [data, pieces, hashes, meta, unchecked, complete, bitmap, directory]) {
      await syncPath(path).catch((error) => {
        if (!isMissing(error)) throw error;
      });
    }
    this.#isDirty = false;
  }

  async #prove(index: number): Promise<boolean> {
    const isGood = await this.#checkPiece(index);
    if (!isGood) this.#environment.log.warn('store_blob_checked', { swarmId: this.swarmId, pieces: 1, dropped: 1 });
    return isGood;
  }

  async #checkPiece(index: number): Promise<boolean> {
    const size = this.#sizeOfPiece(index);
    const position = index * this.geometry.pieceLength;
    const { outcome } = await this.#useFiles((files) =>
      this.#environment.worker.run({ kind: 'check', files, index, position, size }),
    );
    this.#isDirty = true;
    if (outcome === 'verified') {
      this.bitfield.add(index);
      this.proven.add(index);
    } else await this.#dropPiece(index);
    return outcome === 'verified';
  }

  async #dropPiece(index: number): Promise<void> {
    this.bitfield.delete(index);
    this.proven.delete(index);
    await this.#unmarkComplete();
  }

  async #unmarkComplete(): Promise<void> {
    if (!this.#isMarkedComplete) return;
    this.#isMarkedComplete = false;
    await this.#change(() => rm(this.#paths.complete, { force: true }));
  }

  #sizeOfPiece(index: number): number {
    if (!Number.isInteger(index) || index < 0 || index >= this.geometry.pieceCount) {
      throw new AppError('PIECE_REJECTED', { reason: 'no such piece', index });
    }
    return pieceSize(this.geometry, index);
  }

  /** The time of the last use is the `mtime` of `meta.json`: nothing to tear, and no write of ours. */
  async #persistUse(): Promise<void> {
    this.#touchedAt = this.#lastUsedAt;
    const seconds = this.#lastUsedAt / 1000;
    // Lost, it costs at worst an eviction out of order.
    await utimes(this.#paths.meta, seconds, seconds).catch(() => {});
  }

  #change(work: () => Promise<void>): Promise<void> {
    this.#isDirty = true;
    return this.#operate(work);
  }

  #useFiles<T>(work: (files: BlobFds) => Promise<T>, options: { isWriting?: boolean } = {}): Promise<T> {
    return this.#operate(() => this.#environment.files.use(this.#paths, work, options));
  }

  async #operate<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new AppError('STORE_CLOSED');
    if (this.#isRetired && !this.isPinned) throw new AppError('STORE_CLOSED', { reason: 'the blob is gone' });
    this.#operations += 1;
    try {
      return await work();
    } catch (cause) {
      const error = asDiskError(cause, 'using the files of a blob failed');
      this.#environment.health.failed(error);
      throw error;
    } finally {
      this.#operations -= 1;
      this.#wakeIfUnused();
    }
  }

  async #removeFiles(): Promise<void> {
    await this.#unused();
    await this.#environment.files.close(this.#paths);
    await rm(this.#paths.directory, { recursive: true, force: true });
  }

  async #unused(): Promise<void> {
    while (!this.#isUnused()) {
      await new Promise<void>((resolve) => {
        const before = this.#wake;
        this.#wake = () => {
          before?.();
          resolve();
        };
      });
    }
  }

  #isUnused(): boolean {
    return this.#operations === 0 && (this.#isClosed || this.#pins === 0);
  }

  #wakeIfUnused(): void {
    if (!this.#isUnused()) return;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
