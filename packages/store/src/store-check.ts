import { readdir, rm, rmdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { AppError } from '@sealift/core';
import { type BlobCheck, type BlobFinding, checkBlob, type InspectHashes, type StoreFinding } from './blob-check.ts';
import { isBlobDirectoryName } from './blob-directory.ts';
import { DirectoryLock } from './directory-lock.ts';
import { asDiskError, diskFaultOf, isMissing } from './disk-error.ts';
import { footprint } from './quota.ts';

/** What lies beside the blobs of a store; SQLite may add a journal to its lock. */
const OWN_NAMES = /^(?:blobs|lock(?:-journal)?|pid|session\.json)$/;
const GROUP_NAME = /^[0-9a-f]{2}$/;

/** How far a check is. */
export interface StoreCheckProgress {
  readonly blobs: number;
  readonly totalBlobs: number;
  /** Bytes hashed so far. */
  readonly bytes: number;
}

/** What {@link checkStore} found. */
export interface StoreReport {
  readonly blobs: number;
  readonly completeBlobs: number;
  /** Pieces that count as verified and match. */
  readonly pieces: number;
  readonly hashRecords: number;
  /** Bytes hashed. */
  readonly bytes: number;
  /** What the blobs count against a quota, in bytes. */
  readonly usedBytes: number;
  readonly findings: readonly StoreFinding[];
}

/**
 * Holds every byte of a store that nobody uses against what the store says of it: descriptions, bitmaps, signed hash lists,
 * every piece that is marked verified, the digest of whole blobs, the quota, and what does not belong there. With
 * `isRepairing` false pieces are unmarked and blobs that cannot be trusted removed: it is a cache. Throws `STORE_LOCKED`
 * where a process has the store, `STORE_FAULT` where there is none, and the reason of `signal`.
 */
export async function checkStore({
  directory,
  quotaBytes,
  isRepairing = false,
  inspectHashes,
  onProgress = () => {},
  signal,
}: {
  directory: string;
  /** Most bytes that its blobs may count, where that is known. */
  quotaBytes?: number | undefined;
  isRepairing?: boolean;
  inspectHashes: InspectHashes;
  onProgress?: (progress: StoreCheckProgress) => void;
  signal: AbortSignal;
}): Promise<StoreReport> {
  try {
    const names = await readdir(directory);
    if (!names.includes('blobs')) throw new AppError('STORE_FAULT', { reason: `there is no store in ${directory}` });
    const lock = await lockUnlessReadOnly(directory, { isRepairing });
    try {
      return await new StoreChecking({ directory, quotaBytes, isRepairing, inspectHashes, onProgress, signal }).run();
    } finally {
      await lock?.release();
    }
  } catch (error) {
    if (isMissing(error))
      throw new AppError('STORE_FAULT', { reason: `there is no store in ${directory}` }, { cause: error });
    throw asDiskError(error, 'checking the store failed');
  }
}

/** Where nobody can write, nobody changes what we read. */
async function lockUnlessReadOnly(
  directory: string,
  { isRepairing }: { isRepairing: boolean },
): Promise<DirectoryLock | undefined> {
  try {
    return await DirectoryLock.acquire(directory);
  } catch (error) {
    if (!isRepairing && diskFaultOf(error)?.code === 'EROFS') return undefined;
    throw error;
  }
}

type Checking = Required<Omit<Parameters<typeof checkStore>[0], 'quotaBytes'>> & { quotaBytes: number | undefined };

class StoreChecking {
  readonly #options: Checking;
  readonly #findings: StoreFinding[] = [];
  readonly #swarms = new Set<string>();
  #report = { blobs: 0, completeBlobs: 0, pieces: 0, hashRecords: 0, bytes: 0, usedBytes: 0 };

  constructor(options: Checking) {
    this.#options = options;
  }

  async run(): Promise<StoreReport> {
    const directories = await this.#list();
    for (const [done, directory] of directories.entries()) {
      this.#options.signal.throwIfAborted();
      const progress = (): void =>
        this.#options.onProgress({ blobs: done, totalBlobs: directories.length, bytes: this.#report.bytes });
      progress();
      await this.#checkOne(directory, progress);
    }
    const { usedBytes } = this.#report;
    const { quotaBytes } = this.#options;
    if (quotaBytes !== undefined && usedBytes > quotaBytes) {
      this.#note('problem', 'blobs', `${usedBytes} bytes count against a quota of ${quotaBytes}`);
    }
    return { ...this.#report, findings: this.#findings };
  }

  /** The directories of blobs; notes all that is something else. */
  async #list(): Promise<string[]> {
    const { directory } = this.#options;
    for (const name of await readdir(directory)) {
      if (!OWN_NAMES.test(name)) this.#note('leftover', name, 'not of the store');
    }
    const found: string[] = [];
    const root = join(directory, 'blobs');
    for (const group of await readdir(root, { withFileTypes: true })) {
      const path = join(root, group.name);
      if (!group.isDirectory() || !GROUP_NAME.test(group.name)) {
        this.#note('leftover', relative(directory, path), 'not of the store');
        continue;
      }
      for (const entry of await readdir(path, { withFileTypes: true })) {
        if (entry.isDirectory() && isBlobDirectoryName(entry.name)) found.push(join(path, entry.name));
        else this.#note('leftover', relative(directory, join(path, entry.name)), 'not of the store');
      }
    }
    return found;
  }

  async #checkOne(directory: string, progress: () => void): Promise<void> {
    const { inspectHashes, signal, isRepairing } = this.#options;
    const onRead = (bytes: number): void => {
      this.#report.bytes += bytes;
      progress();
    };
    const check = await checkBlob(directory, { inspectHashes, onRead, signal });
    const findings = [...check.findings, ...this.#doubled(check)];
    if (isRepairing && findings.length > 0) {
      await check.mend();
      if (findings.length > check.findings.length) await rm(directory, { recursive: true, force: true });
      // Its group, if that is empty now.
      await rmdir(join(directory, '..')).catch(() => {});
    }
    const path = relative(this.#options.directory, directory);
    for (const { kind, reason, isMendable } of findings) {
      this.#findings.push({ kind, path, reason, isMended: isRepairing && isMendable });
    }
    if (check.description === undefined) return;
    this.#report.blobs += 1;
    this.#report.completeBlobs += check.isComplete ? 1 : 0;
    this.#report.pieces += check.pieces;
    this.#report.hashRecords += check.hashRecords;
    this.#report.usedBytes += footprint(check.description.geometry);
  }

  #doubled({ description }: BlobCheck): BlobFinding[] {
    if (description === undefined) return [];
    if (this.#swarms.has(description.swarmId))
      return [{ kind: 'problem', reason: 'a second directory for one swarm', isMendable: true }];
    this.#swarms.add(description.swarmId);
    return [];
  }

  #note(kind: StoreFinding['kind'], path: string, reason: string): void {
    this.#findings.push({ kind, path, reason, isMended: false });
  }
}
