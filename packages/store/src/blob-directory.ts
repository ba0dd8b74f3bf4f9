import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, Bitfield } from '@sealift/core';
import { draftFile, writeFileAtomic } from './atomic-file.ts';
import { type BlobDescription, formatMeta, parseMeta } from './blob-meta.ts';
import { isMissing } from './disk-error.ts';
import { decodeRecords } from './hash-records.ts';
import { HASH_LENGTH, maxHashBytes } from './quota.ts';

// Layout: <store>/blobs/<first 2 hex digits>/<swarm id>.<8 random hex digits>/. The random part lets a swarm be created
// anew while a reader still holds the files of the deleted one.

const DIRECTORY_NAME = /^([0-9a-f]{40})\.[0-9a-f]{8}$/;
/** Longest `meta.json` we read, in bytes; an honest one has about 500. */
const MAX_META_LENGTH = 4096;

/** Names of the files in a blob's directory. */
export const BLOB_FILES = {
  meta: 'meta.json',
  data: 'data',
  pieces: 'pieces',
  bitmap: 'bitmap',
  unchecked: 'unchecked',
  hashes: 'hashes',
  complete: 'complete',
} as const;

/** The files of one blob. Paths are made when they are asked for: a store has thousands of blobs, and few are in use. */
export class BlobPaths {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** What is fixed about the blob. A directory without it is half-made, or half-deleted, and means nothing. */
  get meta(): string {
    return join(this.directory, BLOB_FILES.meta);
  }

  /** The blob itself, sparse. Only pieces whose bit is set mean anything. */
  get data(): string {
    return join(this.directory, BLOB_FILES.data);
  }

  /** 32 bytes of SHA-256 for each piece whose bit is set. */
  get pieces(): string {
    return join(this.directory, BLOB_FILES.pieces);
  }

  /** One bit per verified piece, as in BEP 3. */
  get bitmap(): string {
    return join(this.directory, BLOB_FILES.bitmap);
  }

  /** A bitmap of pieces to hash again before they count, because the machine went down without a clean stop. */
  get unchecked(): string {
    return join(this.directory, BLOB_FILES.unchecked);
  }

  /** Signed hash batches. */
  get hashes(): string {
    return join(this.directory, BLOB_FILES.hashes);
  }

  /** Empty; there once the whole blob is known to match its digest. */
  get complete(): string {
    return join(this.directory, BLOB_FILES.complete);
  }
}

/** What a blob's directory holds when the store starts, or when it was just made. */
export interface LoadedBlob {
  readonly paths: BlobPaths;
  readonly description: BlobDescription;
  readonly bitfield: Bitfield;
  readonly unchecked: Bitfield | undefined;
  readonly hashRecords: readonly Buffer[];
  readonly hashLength: number;
  readonly isMarkedComplete: boolean;
  readonly lastUsedAt: number;
}

/** Whether a name is one that {@link createBlobDirectory} gives. */
export function isBlobDirectoryName(name: string): boolean {
  return DIRECTORY_NAME.test(name);
}

/** Makes the directory of an empty blob. It counts as soon as its `meta.json` stands, which is the last step. */
export async function createBlobDirectory(root: string, description: BlobDescription): Promise<LoadedBlob> {
  const { swarmId, geometry } = description;
  const name = `${swarmId}.${randomBytes(4).toString('hex')}`;
  const paths = new BlobPaths(join(root, swarmId.slice(0, 2), name));
  // Not with `recursive`, which reports a read-only disk as a missing directory.
  await mkdir(join(root, swarmId.slice(0, 2)), { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await mkdir(paths.directory, { mode: 0o700 });
  try {
    // At once, because a pull waits for them.
    const meta = draftFile(paths.meta, formatMeta(description));
    const made = await Promise.allSettled([
      meta,
      createSparse(paths.data, geometry.size),
      createSparse(paths.pieces, HASH_LENGTH * geometry.pieceCount),
      createSparse(paths.bitmap, Math.ceil(geometry.pieceCount / 8)),
      createSparse(paths.hashes, 0),
    ]);
    for (const each of made) if (each.status === 'rejected') throw each.reason;
    await (await meta)();
  } catch (error) {
    await rm(paths.directory, { recursive: true, force: true });
    throw error;
  }
  return {
    paths,
    description,
    bitfield: new Bitfield(geometry.pieceCount),
    unchecked: undefined,
    hashRecords: [],
    hashLength: 0,
    isMarkedComplete: false,
    // As the kernel has stamped it.
    lastUsedAt: Date.now(),
  };
}

/** Takes a blob's directory out of count, in one step; its files stay usable by whoever reads them. */
export async function retireBlobDirectory({ meta }: BlobPaths): Promise<void> {
  await rm(meta, { force: true });
}

/**
 * Reads a blob's directory; `undefined` if it is half-made. Throws `STORE_FAULT` or a file error if it cannot be trusted.
 * With `isTrusted` false, the bits found count for nothing until their pieces are hashed again.
 */
export async function loadBlobDirectory(
  directory: string,
  { isTrusted }: { isTrusted: boolean },
): Promise<LoadedBlob | undefined> {
  const paths = new BlobPaths(directory);
  const metaBytes = await readIfThere(paths.meta, MAX_META_LENGTH);
  if (metaBytes === undefined) return undefined;
  const description = parseMeta(metaBytes.toString('utf8'));
  const { geometry } = description;
  if (DIRECTORY_NAME.exec(directory.slice(directory.lastIndexOf('/') + 1))?.[1] !== description.swarmId) {
    throw corrupt('meta.json names another swarm');
  }
  await checkSize(paths.data, geometry.size);
  await checkSize(paths.pieces, HASH_LENGTH * geometry.pieceCount);
  const isSound = isTrusted && (await isBitmapSound(paths, geometry.pieceCount));
  if (!isSound) await distrust(paths, geometry.pieceCount);
  const bitfield = await readOwnBitmap(paths, geometry.pieceCount);
  const unchecked = await readBitmap(paths.unchecked, geometry.pieceCount);
  const hashBytes = (await readIfThere(paths.hashes, maxHashBytes(geometry))) ?? Buffer.alloc(0);
  const { records, length } = decodeRecords(hashBytes);
  if (length < hashBytes.length) await truncate(paths.hashes, length);
  const { mtimeMs } = await stat(paths.meta);
  const isMarkedComplete = (await readIfThere(paths.complete, 0)) !== undefined;
  return {
    paths,
    description,
    bitfield,
    unchecked,
    hashRecords: records,
    hashLength: length,
    isMarkedComplete,
    lastUsedAt: mtimeMs,
  };
}

/** Moves all bits from the bitmap to the list of pieces to check. Safe to repeat after an interruption. */
async function distrust(paths: BlobPaths, pieceCount: number): Promise<void> {
  const bitfield = await readOwnBitmap(paths, pieceCount);
  if (bitfield.count === 0) return;
  const unchecked = (await readBitmap(paths.unchecked, pieceCount)) ?? new Bitfield(pieceCount);
  for (let index = 0; index < pieceCount; index += 1) if (bitfield.has(index)) unchecked.add(index);
  await writeFileAtomic(paths.unchecked, unchecked.toBytes());
  await writeFileAtomic(paths.bitmap, new Bitfield(pieceCount).toBytes());
}

/** A bit is set after the hash of its piece is written: a bit without a hash is not our work. */
async function isBitmapSound(paths: BlobPaths, pieceCount: number): Promise<boolean> {
  const bitfield = await readOwnBitmap(paths, pieceCount);
  if (bitfield.count === 0) return true;
  const hashes = await readFile(paths.pieces);
  const noHash = Buffer.alloc(HASH_LENGTH);
  for (let index = 0; index < pieceCount; index += 1) {
    const start = index * HASH_LENGTH;
    if (bitfield.has(index) && noHash.equals(hashes.subarray(start, start + HASH_LENGTH))) return false;
  }
  return true;
}

async function readOwnBitmap({ bitmap }: BlobPaths, pieceCount: number): Promise<Bitfield> {
  const bitfield = await readBitmap(bitmap, pieceCount);
  if (bitfield === undefined) throw corrupt('the bitmap is missing');
  return bitfield;
}

async function readBitmap(path: string, pieceCount: number): Promise<Bitfield | undefined> {
  const bytes = await readIfThere(path, Math.ceil(pieceCount / 8));
  return bytes === undefined ? undefined : Bitfield.fromBytes(bytes, pieceCount);
}

async function createSparse(path: string, size: number): Promise<void> {
  const handle = await open(path, 'wx', 0o600);
  try {
    await handle.truncate(size);
  } finally {
    await handle.close();
  }
}

async function checkSize(path: string, size: number): Promise<void> {
  const found = (await stat(path)).size;
  if (found !== size) throw corrupt('a file has the wrong size');
}

async function readIfThere(path: string, maxLength: number): Promise<Buffer | undefined> {
  try {
    if ((await stat(path)).size > maxLength) throw corrupt('a file is too long');
    return await readFile(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function corrupt(reason: string): AppError {
  return new AppError('STORE_FAULT', { reason });
}
