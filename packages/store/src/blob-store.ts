import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AppError,
  type Clock,
  type Digest,
  isAppError,
  type Logger,
  type PieceGeometry,
  type RegistryHost,
  type SwarmId,
} from '@sealift/core';
import { createBlobDirectory, isBlobDirectoryName, loadBlobDirectory } from './blob-directory.ts';
import { type BlobDescription, isSameDescription } from './blob-meta.ts';
import { DirectoryLock } from './directory-lock.ts';
import { type BlobEnvironment, DiskBlob } from './disk-blob.ts';
import { asDiskError } from './disk-error.ts';
import { DiskHealth } from './disk-health.ts';
import { OpenFiles } from './open-files.ts';
import { PieceWorker } from './piece-worker.ts';
import { chooseVictims, footprint } from './quota.ts';
import { Serial } from './serial.ts';
import { readLastSession, writeSession } from './session-file.ts';
import type { StoredBlob } from './stored-blob.ts';

/** Blobs whose files stay open, three descriptors each: well below the usual limit of 1024 per process. */
const MAX_OPEN_BLOBS = 64;
/**
 * Longest time that a stop spends on bringing files to the disk, in ms. Service managers kill after 10 s (Docker) or more;
 * what is not done by then costs hashing after a power loss, nothing else.
 */
const SYNC_BUDGET_MS = 5_000;

type BlobListener = (blob: StoredBlob) => void;

/** What a store needs. */
export interface BlobStoreOptions {
  /** Its own directory, made if it is missing. No other process may use it. */
  readonly directory: string;
  /** Most bytes that it takes, metadata included and whole blobs counted from the moment they are created. */
  readonly quotaBytes: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The verified blobs of one node. Survives being killed at any moment; after a power loss it hashes what it holds again
 * before it shows it. A cache: whatever cannot be trusted is dropped, with a log line.
 */
export class BlobStore {
  readonly quotaBytes: number;
  readonly directory: string;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #serial = new Serial();
  readonly #blobs = new Map<SwarmId, DiskBlob>();
  readonly #evictedListeners = new Set<BlobListener>();
  readonly #recoveredListeners = new Set<BlobListener>();
  /** Files on their way out; a pin may hold them there. */
  readonly #removals = new Map<DiskBlob, Promise<void>>();
  /** Running checks, so that a blob is checked once however many ask for it. */
  readonly #checks = new Map<DiskBlob, Promise<void>>();
  #usedBytes = 0;
  #state: 'stopped' | 'running' | 'stopping' = 'stopped';
  #lock: DirectoryLock | undefined;
  #environment: BlobEnvironment | undefined;
  #lastWasClean = false;
  #recovery: Promise<void> = Promise.resolve();

  constructor({ directory, quotaBytes, clock, log }: BlobStoreOptions) {
    this.directory = directory;
    this.quotaBytes = quotaBytes;
    this.#clock = clock;
    this.#log = log;
  }

  /** Bytes that count against the quota, those of evicted blobs that are still being read included. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Locks the directory and loads what it holds. Throws `STORE_LOCKED` if another process has it, `STORE_FAULT` or
   * `STORE_FULL` if the disk refuses. After a power loss, blobs come back one by one as they are checked
   * ({@link onRecovered}); {@link create} waits for the one it is asked for.
   */
  start(): Promise<void> {
    return this.#serial.run(async () => {
      if (this.#state === 'running') return;
      try {
        await this.#open();
      } catch (error) {
        this.#blobs.clear();
        this.#usedBytes = 0;
        await this.#lock?.release();
        this.#lock = undefined;
        throw asDiskError(error, 'opening the store failed');
      }
      this.#state = 'running';
      this.#recovery = this.#recover();
    });
  }

  /** Starts the thread that writes pieces before the first piece is there to wait for it. Does nothing to a closed store. */
  async warmUp(): Promise<void> {
    if (this.#state === 'running') await this.#environment?.worker.warmUp();
  }

  /** Refuses further calls, ends running ones, and leaves the directory clean and free for another process. */
  stop(): Promise<void> {
    // Set at once, so that calls that wait their turn are refused when it comes.
    if (this.#state === 'running') this.#state = 'stopping';
    return this.#serial.run(async () => {
      if (this.#state === 'stopped') return;
      this.#state = 'stopping';
      const blobs = [...this.#blobs.values()];
      await Promise.all([...blobs, ...this.#removals.keys()].map((blob) => blob.close()));
      await this.#recovery;
      await Promise.all(this.#removals.values());
      await this.#environment?.worker.stop();
      await this.#sync(blobs);
      this.#blobs.clear();
      this.#usedBytes = 0;
      await this.#lock?.release();
      this.#lock = undefined;
      this.#state = 'stopped';
    });
  }

  /** The blob of a swarm; `undefined` if the store does not hold it, or has not checked it yet. */
  get(swarmId: SwarmId): StoredBlob | undefined {
    const blob = this.#blobs.get(swarmId);
    return blob?.isUnchecked === true ? undefined : blob;
  }

  /** All blobs that {@link get} would give. */
  list(): readonly StoredBlob[] {
    return [...this.#blobs.values()].filter(({ isUnchecked }) => !isUnchecked);
  }

  /**
   * Makes room for a blob, or gives the one that is there. Evicts the least recently used unpinned blobs to fit. Throws
   * `STORE_FULL` if that is not enough, that or `STORE_FAULT` while the disk refuses to write, `GEOMETRY_INVALID` if the swarm is held with another geometry and in use.
   */
  async create(o: {
    blob: { registry: RegistryHost; digest: Digest };
    swarmId: SwarmId;
    geometry: PieceGeometry;
  }): Promise<StoredBlob> {
    this.#demandRunning();
    const { registry, digest } = o.blob;
    const description: BlobDescription = { swarmId: o.swarmId, registry, digest, geometry: o.geometry };
    await this.#awaitCheck(o.swarmId);
    return this.#exclusive('creating a blob failed', async () => {
      const environment = this.#demandRunning();
      const held = this.#blobs.get(o.swarmId);
      if (held !== undefined) {
        if (isSameDescription(held.description, description)) return held;
        if (held.isPinned)
          throw new AppError('GEOMETRY_INVALID', { reason: 'the swarm is held with another geometry' });
        await this.#evict(held);
      }
      environment.health.demand();
      await this.#makeRoom(footprint(o.geometry));
      return await this.#createBlob(description, environment);
    });
  }

  /**
   * Takes a blob out of the store; a restart does not find it again. Files of a pinned one go when it is let go. Nothing
   * happens if the store does not hold it. Listeners are not told: the caller knows.
   */
  async delete(swarmId: SwarmId): Promise<void> {
    this.#demandRunning();
    await this.#exclusive('deleting a blob failed', async () => {
      this.#demandRunning();
      const blob = this.#blobs.get(swarmId);
      if (blob !== undefined) await this.#remove(blob);
    });
  }

  /**
   * Calls `listener` with each blob that is evicted, before its files vanish and after {@link get} has stopped to give
   * it. Returns how to stop listening. A listener must not throw.
   */
  onEvicted(listener: BlobListener): () => void {
    return listen(this.#evictedListeners, listener);
  }

  /** Calls `listener` with each blob whose check after a power loss has ended. A listener must not throw. */
  onRecovered(listener: BlobListener): () => void {
    return listen(this.#recoveredListeners, listener);
  }

  async #open(): Promise<void> {
    await mkdir(this.#blobRoot, { recursive: true, mode: 0o700 });
    await chmod(this.directory, 0o700);
    this.#lock = await DirectoryLock.acquire(this.directory);
    const { wasClean, isSameBoot } = await readLastSession(this.directory);
    this.#lastWasClean = wasClean;
    const environment: BlobEnvironment = {
      files: new OpenFiles({ maxBlobs: MAX_OPEN_BLOBS }),
      worker: new PieceWorker(),
      health: new DiskHealth({ directory: this.directory, clock: this.#clock, log: this.#log }),
      clock: this.#clock,
      log: this.#log,
    };
    this.#environment = environment;
    this.#blobs.clear();
    this.#usedBytes = 0;
    await this.#load(environment, { isTrusted: wasClean || isSameBoot });
    // Only now: had we been stopped while loading, the next start would have to distrust the same blobs again.
    await writeSession(this.directory, { isClean: false });
    await this.#shrinkToQuota();
    const unchecked = [...this.#blobs.values()].filter(({ isUnchecked }) => isUnchecked).length;
    this.#log.info('store_opened', { blobs: this.#blobs.size, unchecked, usedBytes: this.#usedBytes });
  }

  get #blobRoot(): string {
    return join(this.directory, 'blobs');
  }

  async #load(environment: BlobEnvironment, options: { isTrusted: boolean }): Promise<void> {
    for (const group of await readdir(this.#blobRoot, { withFileTypes: true })) {
      if (!group.isDirectory()) continue;
      const directory = join(this.#blobRoot, group.name);
      for (const name of await readdir(directory)) {
        if (isBlobDirectoryName(name)) await this.#loadOne(join(directory, name), environment, options);
      }
    }
  }

  async #loadOne(directory: string, environment: BlobEnvironment, options: { isTrusted: boolean }): Promise<void> {
    try {
      const loaded = await loadBlobDirectory(directory, options);
      if (loaded !== undefined && !this.#blobs.has(loaded.description.swarmId)) {
        this.#add(new DiskBlob(loaded, environment));
        return;
      }
    } catch (error) {
      this.#log.warn('store_blob_dropped', { directory, error });
    }
    await rm(directory, { recursive: true, force: true }).catch((error: unknown) => {
      this.#log.warn('store_blob_dropped', { directory, error });
    });
  }

  async #shrinkToQuota(): Promise<void> {
    const victims = chooseVictims([...this.#blobs.values()], this.#usedBytes - this.quotaBytes) ?? [];
    for (const victim of victims) await this.#evict(victim);
  }

  async #makeRoom(bytes: number): Promise<void> {
    const excess = this.#usedBytes + bytes - this.quotaBytes;
    const victims = bytes > this.quotaBytes ? undefined : chooseVictims([...this.#blobs.values()], excess);
    if (victims === undefined) {
      throw new AppError('STORE_FULL', { bytes, usedBytes: this.#usedBytes, quotaBytes: this.quotaBytes });
    }
    for (const victim of victims) await this.#evict(victim);
  }

  async #createBlob(description: BlobDescription, environment: BlobEnvironment): Promise<StoredBlob> {
    const loaded = await createBlobDirectory(this.#blobRoot, description).catch((cause: unknown) => {
      const error = asDiskError(cause, 'creating a blob failed');
      environment.health.failed(error);
      throw error;
    });
    const blob = new DiskBlob(loaded, environment);
    blob.touch();
    this.#add(blob);
    return blob;
  }

  #add(blob: DiskBlob): void {
    this.#blobs.set(blob.swarmId, blob);
    this.#usedBytes += blob.footprint;
  }

  async #evict(blob: DiskBlob): Promise<void> {
    this.#blobs.delete(blob.swarmId);
    this.#log.info('store_blob_evicted', { swarmId: blob.swarmId, bytes: blob.footprint });
    if (!blob.isUnchecked) for (const listener of this.#evictedListeners) listener(blob);
    await this.#remove(blob);
  }

  /** Resolves when the space is free, or as soon as only a pin holds it. */
  async #remove(blob: DiskBlob): Promise<void> {
    this.#blobs.delete(blob.swarmId);
    const { isGone } = await blob.retire();
    const removal = isGone
      .then(() => {
        this.#usedBytes -= blob.footprint;
      })
      // What cannot be removed takes its space still; the next start tries again.
      .catch((error: unknown) => this.#log.warn('store_blob_dropped', { swarmId: blob.swarmId, error }))
      .finally(() => this.#removals.delete(blob));
    this.#removals.set(blob, removal);
    if (!blob.isPinned) await removal;
  }

  async #recover(): Promise<void> {
    const unchecked = [...this.#blobs.values()].filter((blob) => blob.isUnchecked);
    // What was used last is what will be asked for first.
    for (const blob of unchecked.sort((a, b) => b.lastUsedAt - a.lastUsedAt)) await this.#recheck(blob);
  }

  #recheck(blob: DiskBlob): Promise<void> {
    const running = this.#checks.get(blob);
    if (running !== undefined || !blob.isUnchecked) return running ?? Promise.resolve();
    const check = this.#recheckOnce(blob).finally(() => this.#checks.delete(blob));
    this.#checks.set(blob, check);
    return check;
  }

  async #recheckOnce(blob: DiskBlob): Promise<void> {
    try {
      await blob.recheck();
    } catch (error) {
      // Stopped, or evicted meanwhile.
      if (isAppError(error, 'STORE_CLOSED')) return;
      this.#log.warn('store_blob_dropped', { swarmId: blob.swarmId, error });
      await this.delete(blob.swarmId).catch(() => {});
      return;
    }
    for (const listener of this.#recoveredListeners) listener(blob);
  }

  async #awaitCheck(swarmId: SwarmId): Promise<void> {
    const blob = this.#blobs.get(swarmId);
    if (blob?.isUnchecked !== true) return;
    // Pinned, so that room for another blob is not made from the one that is wanted.
    const unpin = blob.pin();
    try {
      await this.#recheck(blob);
    } finally {
      unpin();
    }
  }

  async #sync(blobs: readonly DiskBlob[]): Promise<void> {
    const deadline = this.#clock.now() + SYNC_BUDGET_MS;
    try {
      for (const blob of blobs) {
        if (this.#clock.now() > deadline) throw new AppError('STORE_FAULT', { reason: 'the disk is too slow' });
        await blob.sync({ isForced: !this.#lastWasClean });
      }
      await writeSession(this.directory, { isClean: true });
    } catch (error) {
      // Without the marker a power loss costs hashing; that is no reason to fail the stop.
      this.#log.warn('store_sync_failed', { error });
    }
  }

  /** One change of the index at a time, so that two creates cannot both count on the same free space. */
  #exclusive<T>(failure: string, job: () => Promise<T>): Promise<T> {
    return this.#serial.run(async () => {
      try {
        return await job();
      } catch (error) {
        throw asDiskError(error, failure);
      }
    });
  }

  #demandRunning(): BlobEnvironment {
    if (this.#state !== 'running' || this.#environment === undefined) throw new AppError('STORE_CLOSED');
    return this.#environment;
  }
}

function listen(listeners: Set<BlobListener>, listener: BlobListener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
