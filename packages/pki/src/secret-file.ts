import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError } from '@sealift/core';

/** Longest secret file, in bytes: keys and passphrases have a few hundred. */
const MAX_SECRET_BYTES = 64 * 1024;
/** Any right for group or others. */
const OPEN_TO_OTHERS = 0o077;

/** The text of a file that only its owner may read, as it stands. Throws `KEY_FILE_UNSAFE`. */
export async function readSecretFile(path: string): Promise<string> {
  const file = await openForReading(path);
  try {
    // On the open file, not on the path, so that nobody can swap it in between.
    const stats = await file.stat();
    if (!stats.isFile()) throw unsafe({ path, reason: 'it is not a regular file' });
    if ((stats.mode & OPEN_TO_OTHERS) !== 0)
      throw unsafe({ path, reason: 'others may read it', advice: `run: chmod 600 ${path}` });
    const uid = process.getuid?.();
    if (uid !== undefined && stats.uid !== uid && stats.uid !== 0)
      throw unsafe({ path, reason: 'it belongs to another user' });
    if (stats.size > MAX_SECRET_BYTES) throw unsafe({ path, reason: 'it is too long' });
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** Writes a file that only its owner may read: whole or not at all, and on the disk when this resolves. */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  await writeWhole(path, text, 0o600);
}

/** Writes a file that everybody may read, such as a certificate, in the same way. */
export async function writePublicFile(path: string, text: string): Promise<void> {
  await writeWhole(path, text, 0o644);
}

async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(text);
      // On the open file: by then, whoever may write to the directory can have put a link to another file in its place.
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    // Not blocking, so that a named pipe in its place cannot hold us up. Links are followed: Kubernetes mounts secrets so.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw unsafe({ path, reason: 'it cannot be opened' }, cause);
  }
}

// Without it the new name may be lost in a crash although the content is safe.
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function unsafe(details: { path: string; reason: string; advice?: string }, cause?: unknown): AppError {
  return new AppError('KEY_FILE_UNSAFE', details, { cause });
}
