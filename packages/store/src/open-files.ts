import { closeSync, open as openCallback } from 'node:fs';
import { promisify } from 'node:util';
import { diskFaultOf, errorOfFault } from './disk-error.ts';
import type { BlobFds } from './piece-task.ts';

const open = promisify(openCallback);

/** Where the open-able files of a blob are. */
export interface BlobFilePaths {
  readonly data: string;
  readonly pieces: string;
  readonly bitmap: string;
}

interface OpenEntry {
  readonly opened: Promise<BlobFds>;
  /** The same once it is there, so that the many uses of an open blob need not wait for a promise. */
  files: BlobFds | undefined;
  users: number;
}

/**
 * Keeps the files of recently used blobs open, at most `maxBlobs` of them (three descriptors each), and closes the least
 * recently used idle one to make room. Whoever finds all in use waits.
 */
export class OpenFiles {
  readonly #maxBlobs: number;
  /** From least to most recently used. */
  readonly #entries = new Map<BlobFilePaths, OpenEntry>();
  readonly #waiting: (() => void)[] = [];

  constructor({ maxBlobs }: { maxBlobs: number }) {
    this.#maxBlobs = maxBlobs;
  }

  /** Number of blobs whose files are open. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Runs `work` with the files of `paths`, which stay open until it ends. Throws what opening them throws, and `EROFS` where
   * they are to be written and the disk is read-only.
   */
  async use<T>(
    paths: BlobFilePaths,
    work: (files: BlobFds) => Promise<T>,
    { isWriting = false }: { isWriting?: boolean } = {},
  ): Promise<T> {
    if (isWriting) this.#closeReadOnly(paths);
    let entry = this.#entries.get(paths);
    while (entry === undefined) {
      if (this.#entries.size < this.#maxBlobs || this.#closeOneIdle()) {
        entry = { opened: openAll(paths), files: undefined, users: 0 };
      } else {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        entry = this.#entries.get(paths);
      }
    }
    this.#entries.delete(paths);
    this.#entries.set(paths, entry);
    entry.users += 1;
    try {
      const files = entry.files ?? (await this.#openedOf(paths, entry));
      if (isWriting && files.isReadOnly) throw readOnlyDisk();
      return await work(files);
    } finally {
      entry.users -= 1;
      if (entry.users === 0) this.#waiting.shift()?.();
    }
  }

  /** Closes the files of a blob that nobody uses any more. */
  async close(paths: BlobFilePaths): Promise<void> {
    const entry = this.#entries.get(paths);
    if (entry === undefined) return;
    this.#entries.delete(paths);
    closeAll(await entry.opened);
    this.#waiting.shift()?.();
  }

  /** The disk may be mended by now. */
  #closeReadOnly(paths: BlobFilePaths): void {
    const entry = this.#entries.get(paths);
    if (entry?.files?.isReadOnly !== true || entry.users > 0) return;
    this.#entries.delete(paths);
    closeAll(entry.files);
  }

  async #openedOf(paths: BlobFilePaths, entry: OpenEntry): Promise<BlobFds> {
    try {
      entry.files = await entry.opened;
      return entry.files;
    } catch (error) {
      if (this.#entries.get(paths) === entry) this.#entries.delete(paths);
      throw error;
    }
  }

  #closeOneIdle(): boolean {
    for (const [paths, entry] of this.#entries) {
      if (entry.users > 0) continue;
      this.#entries.delete(paths);
      // An idle entry was opened and used before, so this is no wait and cannot fail.
      void entry.opened.then(closeAll);
      return true;
    }
    return false;
  }
}

/** For reading only where the disk takes nothing more: what it holds is as good as before. */
async function openAll(paths: BlobFilePaths): Promise<BlobFds> {
  try {
    return { ...(await openWith(paths, 'r+')), isReadOnly: false };
  } catch (error) {
    if (diskFaultOf(error)?.code !== 'EROFS') throw error;
    return { ...(await openWith(paths, 'r')), isReadOnly: true };
  }
}

async function openWith(
  { data, pieces, bitmap }: BlobFilePaths,
  flags: 'r' | 'r+',
): Promise<Omit<BlobFds, 'isReadOnly'>> {
  const tries = await Promise.allSettled([data, pieces, bitmap].map((path) => open(path, flags)));
  const opened = tries.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  for (const each of tries) {
    if (each.status === 'fulfilled') continue;
    opened.forEach(closeOne);
    throw each.reason;
  }
  const [dataFd = -1, piecesFd = -1, bitmapFd = -1] = opened;
  return { data: dataFd, pieces: piecesFd, bitmap: bitmapFd };
}

function readOnlyDisk(): Error {
  return errorOfFault({ code: 'EROFS', syscall: 'write', message: 'EROFS: read-only file system, write' });
}

// Closing is synchronous because it frees no space: a blob's files are closed before they are unlinked.
function closeAll({ data, pieces, bitmap }: BlobFds): void {
  [data, pieces, bitmap].forEach(closeOne);
}

function closeOne(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // close(2) frees the descriptor even when it reports a fault, and the pieces' hashes find what the disk lost.
  }
}
