import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rm, truncate } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { AppError, Bitfield, digestFromSha256, isAppError, pieceSize } from '@sealift/core';
import { writeFileAtomic } from './atomic-file.ts';
import { BLOB_FILES, BlobPaths } from './blob-directory.ts';
import { type BlobDescription, parseMeta } from './blob-meta.ts';
import { diskFaultOf, isMissing } from './disk-error.ts';
import { decodeRecords, isTornRecord } from './hash-records.ts';
import { HASH_LENGTH, maxHashBytes } from './quota.ts';

/** Bytes read at once; a piece may be larger. */
const READ_BYTES = 1024 * 1024;
/** Piece indexes that a message names; the others are counted. */
const NAMED_PIECES = 8;
/** Longest `meta.json` that is read, in bytes, as when the store starts. */
const MAX_META_LENGTH = 4096;
const DRAFT = /^(?:meta\.json|hashes|bitmap|unchecked)\.tmp$/;

/** What the signed hash list of a blob says; whoever knows its form makes one ({@link InspectHashes}). */
export interface InspectedHashes {
  /** What is wrong with the records, in words. */
  readonly problems: readonly string[];
  /** The SHA-256 that the list gives for a piece, if it does. */
  hashOf(index: number): Uint8Array | undefined;
}

/** Reads the records of a blob, which the store itself does not look into. */
export type InspectHashes = (blob: BlobDescription, records: readonly Buffer[]) => InspectedHashes;

/** Something that does not belong in a store. */
export interface StoreFinding {
  /** `problem`: it is false, or would be lost. `leftover`: harmless remains of a process that was killed. */
  readonly kind: 'problem' | 'leftover';
  /** Relative to the store. */
  readonly path: string;
  readonly reason: string;
  readonly isMended: boolean;
}

/** A finding about one blob. */
export interface BlobFinding extends Pick<StoreFinding, 'kind' | 'reason'> {
  readonly isMendable: boolean;
}

/** What {@link checkBlob} found. */
export interface BlobCheck {
  readonly description: BlobDescription | undefined;
  /** Pieces that count as verified and that match. */
  readonly pieces: number;
  readonly isComplete: boolean;
  readonly hashRecords: number;
  readonly findings: readonly BlobFinding[];
  /** Takes away what was found and is mendable; the rest of the blob stays if it can. */
  mend(): Promise<void>;
}

/**
 * Checks one blob's directory by itself, byte for byte, and changes nothing before `mend` is called. Throws only the reason
 * of `signal`.
 */
export async function checkBlob(
  directory: string,
  options: { inspectHashes: InspectHashes; onRead: (bytes: number) => void; signal: AbortSignal },
): Promise<BlobCheck> {
  const check = new BlobChecking(directory, options);
  try {
    await check.run();
  } catch (error) {
    options.signal.throwIfAborted();
    if (!isAppError(error) && diskFaultOf(error) === undefined) throw error;
    check.fail(reasonOf(error));
  }
  return check;
}

class BlobChecking implements BlobCheck {
  description: BlobDescription | undefined;
  pieces = 0;
  isComplete = false;
  hashRecords = 0;
  readonly findings: BlobFinding[] = [];
  readonly #directory: string;
  readonly #paths: BlobPaths;
  readonly #options: Parameters<typeof checkBlob>[1];
  /** How to mend, in this order; `undefined` once only dropping the blob will do. */
  #repairs: (() => Promise<void>)[] | undefined = [];

  constructor(directory: string, options: Parameters<typeof checkBlob>[1]) {
    this.#directory = directory;
    this.#paths = new BlobPaths(directory);
    this.#options = options;
  }

  /** The blob is good for nothing. */
  fail(reason: string): void {
    this.findings.push({ kind: 'problem', reason, isMendable: true });
    this.#repairs = undefined;
  }

  async mend(): Promise<void> {
    for (const repair of this.#repairs ?? [() => rm(this.#directory, { recursive: true, force: true })]) await repair();
  }

  async run(): Promise<void> {
    const names = await this.#checkNames();
    if (!names.has('meta.json')) {
      this.findings.length = 0;
      this.findings.push({ kind: 'leftover', reason: 'half-made, or half-removed', isMendable: true });
      this.#repairs = undefined;
      return;
    }
    const description = parseMeta(
      (await this.#read(this.#paths.meta, { maxLength: MAX_META_LENGTH })).toString('utf8'),
    );
    if (!basename(this.#directory).startsWith(`${description.swarmId}.`))
      return this.fail('meta.json names another swarm');
    this.description = description;
    const { pieceCount } = description.geometry;
    const bitmap = Bitfield.fromBytes(await this.#readBitmap(this.#paths.bitmap, pieceCount), pieceCount);
    const unchecked = names.has('unchecked')
      ? Bitfield.fromBytes(await this.#readBitmap(this.#paths.unchecked, pieceCount), pieceCount)
      : undefined;
    if (unchecked !== undefined) this.#leftover(`${unchecked.count} pieces wait for a check since a power loss`);
    const isMarked = names.has('complete');
    if (isMarked) await this.#read(this.#paths.complete, { length: 0 });
    const list = await this.#checkHashes(description);
    await this.#checkPieces(description, { bitmap, list, isMarked });
    if (isMarked && !bitmap.isFull && unchecked === undefined) {
      this.#problem('marked as complete, but pieces are missing', () => rm(this.#paths.complete, { force: true }));
    }
  }

  async #checkNames(): Promise<Set<string>> {
    const known = new Set<string>(Object.values(BLOB_FILES));
    const names = new Set<string>();
    for (const entry of await readdir(this.#directory, { withFileTypes: true })) {
      const remove = (): Promise<void> => rm(join(this.#directory, entry.name), { recursive: true, force: true });
      if (!entry.isFile()) this.#problem(`${entry.name} is no plain file`, remove);
      else if (known.has(entry.name)) names.add(entry.name);
      else if (DRAFT.test(entry.name)) this.#leftover(`${entry.name} was never finished`, remove);
      else this.#problem(`${entry.name} does not belong here`, remove);
    }
    return names;
  }

  async #checkHashes(description: BlobDescription): Promise<InspectedHashes> {
    const bytes = await this.#read(this.#paths.hashes, { maxLength: maxHashBytes(description.geometry) });
    const { records, length } = decodeRecords(bytes);
    this.hashRecords = records.length;
    const cut = (): Promise<void> => truncate(this.#paths.hashes, length);
    const rest = bytes.subarray(length);
    if (isTornRecord(rest)) this.#leftover('the last record of the hash list was never finished', cut);
    else if (rest.length > 0) this.#problem(`the hash list is damaged from byte ${length} on`, cut);
    const list = this.#options.inspectHashes(description, records);
    for (const problem of list.problems) this.fail(problem);
    return list;
  }

  async #checkPieces(
    { geometry, digest }: BlobDescription,
    { bitmap, list, isMarked }: { bitmap: Bitfield; list: InspectedHashes; isMarked: boolean },
  ): Promise<void> {
    const hashes = await this.#read(this.#paths.pieces, { length: HASH_LENGTH * geometry.pieceCount });
    const whole = isMarked && bitmap.isFull ? createHash('sha256') : undefined;
    const changed: number[] = [];
    const unsigned: number[] = [];
    await withFile(this.#paths.data, async (file) => {
      if ((await file.stat()).size !== geometry.size) return this.fail('data has the wrong size');
      for (let index = 0; index < geometry.pieceCount; index += 1) {
        if (!bitmap.has(index)) continue;
        const hash = createHash('sha256');
        await this.#readRange(file, index * geometry.pieceLength, pieceSize(geometry, index), (chunk) => {
          hash.update(chunk);
          whole?.update(chunk);
        });
        const found = hash.digest();
        if (!found.equals(hashes.subarray(index * HASH_LENGTH, (index + 1) * HASH_LENGTH))) changed.push(index);
        else if (list.hashOf(index) !== undefined && !found.equals(list.hashOf(index) ?? found)) unsigned.push(index);
        else this.pieces += 1;
      }
    });
    const unmark = (indexes: readonly number[]) => async (): Promise<void> => {
      for (const index of indexes) bitmap.delete(index);
      await writeFileAtomic(this.#paths.bitmap, bitmap.toBytes());
      await rm(this.#paths.complete, { force: true });
    };
    if (changed.length > 0)
      this.#problem(`${nameAll(changed)} marked as verified, but not what was stored`, unmark(changed));
    if (unsigned.length > 0) this.#problem(`${nameAll(unsigned)} not what the cluster has signed`, unmark(unsigned));
    if (whole === undefined || changed.length > 0) return;
    if (digestFromSha256(whole.digest()) === digest) this.isComplete = true;
    else this.fail('marked as complete, but the whole does not match its digest');
  }

  async #readRange(file: FileHandle, start: number, length: number, take: (chunk: Buffer) => void): Promise<void> {
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, length));
    for (let done = 0; done < length; ) {
      this.#options.signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, length - done), start + done);
      // Cut off under us: what is not there does not match.
      if (bytesRead === 0) return;
      take(buffer.subarray(0, bytesRead));
      this.#options.onRead(bytesRead);
      done += bytesRead;
    }
  }

  async #readBitmap(path: string, pieceCount: number): Promise<Buffer> {
    return await this.#read(path, { length: Math.ceil(pieceCount / 8) });
  }

  /** A whole file of the given length, or of at most the given one. */
  async #read(path: string, { length, maxLength }: { length?: number; maxLength?: number }): Promise<Buffer> {
    return await withFile(path, async (file) => {
      const { size } = await file.stat();
      const isSound = length === undefined ? size <= (maxLength ?? 0) : size === length;
      if (!isSound) throw new AppError('STORE_FAULT', { reason: `${basename(path)} has the wrong size` });
      return await file.readFile();
    });
  }

  #problem(reason: string, repair: () => Promise<void>): void {
    this.findings.push({ kind: 'problem', reason, isMendable: true });
    this.#repairs?.push(repair);
  }

  #leftover(reason: string, repair?: () => Promise<void>): void {
    this.findings.push({ kind: 'leftover', reason, isMendable: repair !== undefined });
    if (repair !== undefined) this.#repairs?.push(repair);
  }
}

async function withFile<T>(path: string, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

function nameAll(indexes: readonly number[]): string {
  const [first] = indexes;
  if (indexes.length === 1) return `piece ${first} is`;
  const more = indexes.length > NAMED_PIECES ? ', …' : '';
  return `${indexes.length} pieces (${indexes.slice(0, NAMED_PIECES).join(', ')}${more}) are`;
}

function reasonOf(error: unknown): string {
  if (isAppError(error)) return String(error.details['reason'] ?? error.message);
  const { code, path } = error as NodeJS.ErrnoException;
  if (isMissing(error) && path !== undefined) return `${basename(path)} is missing`;
  return `it cannot be read (${code})`;
}
