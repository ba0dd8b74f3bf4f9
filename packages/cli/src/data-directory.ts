import { access, constants, mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isAppError } from '@sealift/core';
import { DirectoryLock } from '@sealift/store';
import { errnoOf, refuse } from './failure.ts';

/** What is wrong with the disk rather than with the setting: a node goes on without its cache. */
const DISK_ERRNOS: ReadonlySet<string | undefined> = new Set(['EROFS', 'ENOSPC', 'EDQUOT', 'EIO']);
/** The same as SQLite calls it, which the store locks its directory with (sqlite.org/rescode.html): READONLY, IOERR, FULL. */
const DISK_RESULT_CODES: ReadonlySet<number | undefined> = new Set([8, 10, 13]);

/** Whether the disk is at fault (full, read-only, broken), and not the choice of a directory. */
export function isDiskFault(error: unknown): boolean {
  if (isAppError(error, 'STORE_FULL') || DISK_ERRNOS.has(errnoOf(error))) return true;
  const { errcode } = error instanceof Error ? (error as Error & { errcode?: number }) : {};
  // The low byte; the rest says which call it was.
  return errcode !== undefined && DISK_RESULT_CODES.has(errcode % 256);
}

/**
 * Makes a data directory that is missing, open to its owner only. Throws `CONFIG_INVALID` where this user can have none
 * there, and the file system's own error where the disk is at fault ({@link isDiskFault}).
 */
export async function prepareDataDirectory(path: string): Promise<void> {
  try {
    await makeDirectory(resolve(path));
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    if (isAppError(error) || isDiskFault(error)) throw error;
    refuseDataDirectory(path, error);
  }
}

/**
 * Takes a node's data directory for this process. `undefined` where the disk is at fault: then nobody can use it. Throws
 * `STORE_LOCKED` if another process has it, and as {@link prepareDataDirectory}.
 */
export async function lockDataDirectory(path: string): Promise<DirectoryLock | undefined> {
  try {
    await prepareDataDirectory(path);
    return await DirectoryLock.acquire(path);
  } catch (error) {
    if (isDiskFault(error)) return undefined;
    throw error;
  }
}

/** Throws `CONFIG_INVALID` for a data directory that this user cannot use because of `error`. */
export function refuseDataDirectory(path: string, error: unknown): never {
  refuse('--data', `cannot use ${path} (${errnoOf(error)}): give a directory that this user may write to`, error);
}

/**
 * Makes a directory and its parents, open to their owner only, unless it is there. Throws `CONFIG_INVALID` that names `setting`
 * where something else stands in its place.
 */
export async function makeDirectory(path: string, setting = '--data'): Promise<void> {
  // Not `mkdir` with `recursive`: that of Node 24 never returns where a parent exists but takes no entries, as /proc.
  const found = await statOf(path);
  if (found !== undefined && !found.isDirectory()) refuse(setting, `${path} is not a directory`);
  if (found !== undefined) return;
  if (dirname(path) !== path) await makeDirectory(dirname(path), setting);
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    // Another process made it meanwhile.
    if (error.code !== 'EEXIST') throw error;
  });
}

async function statOf(path: string): Promise<{ isDirectory(): boolean } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
