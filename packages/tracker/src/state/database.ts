import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AppError } from '@sealift/core';

/** Longest wait for another process that writes, in ms. The CLI's writes are single rows, so this is never reached. */
const BUSY_TIMEOUT_MS = 2_000;

/** Version of the tables below; a database of a later one is refused. */
const SCHEMA_VERSION = 3;

const REVOKED = `
CREATE TABLE revoked (
  registry TEXT NOT NULL, repository TEXT NOT NULL, digest TEXT NOT NULL, proven_before INTEGER NOT NULL,
  PRIMARY KEY (registry, repository, digest)
) STRICT;
`;

const SCHEMA = `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE keys (name TEXT PRIMARY KEY, private_pem TEXT NOT NULL, public TEXT NOT NULL) STRICT;
CREATE TABLE join_tokens (
  id TEXT PRIMARY KEY, secret_sha256 BLOB NOT NULL, is_reusable INTEGER NOT NULL, note TEXT NOT NULL,
  created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, spent_at INTEGER, revoked_at INTEGER
) STRICT;
CREATE TABLE nodes (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, enrolled_by TEXT NOT NULL, token_id TEXT,
  first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, certificate_ends INTEGER NOT NULL,
  issuer TEXT NOT NULL DEFAULT '', trust_version INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX nodes_by_end ON nodes (certificate_ends);
CREATE TABLE denied (node_id TEXT PRIMARY KEY, reason TEXT NOT NULL, denied_at INTEGER NOT NULL) STRICT;
${REVOKED}`;

/** What makes a database of version 1 one of version 2: rotations ask which CA a node holds a certificate of, and knows. */
const FROM_VERSION_1 = `
ALTER TABLE nodes ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN trust_version INTEGER NOT NULL DEFAULT 0;
`;

/**
 * Opens the tracker's database and makes it at first start. Directory and file must be closed to others, because the CA's
 * key is in it: throws `KEY_FILE_UNSAFE`. Several processes may have it open.
 */
export async function openDatabase(dataDirectory: string): Promise<DatabaseSync> {
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  checkOwner(dataDirectory, await stat(dataDirectory));
  const path = join(dataDirectory, 'tracker.sqlite');
  await createPrivately(path);
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    // FULL: a one-time token that is spent must not come back after a power cut.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;');
    migrate(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** Runs `work` in one write transaction. `work` must not wait: other processes would wait with it. */
export function transaction<T>(database: DatabaseSync, work: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function migrate(database: DatabaseSync): void {
  transaction(database, () => {
    const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
    if (version === SCHEMA_VERSION) return;
    const steps = [SCHEMA, `${FROM_VERSION_1} ${REVOKED}`, REVOKED][version];
    if (steps === undefined) {
      throw new AppError('CONFIG_INVALID', { reason: 'the tracker database is of another Sealift version', version });
    }
    database.exec(`${steps} PRAGMA user_version = ${SCHEMA_VERSION};`);
  });
}

/** SQLite makes its files with the process's umask, and gives its journals the mode of the file: so we make the file. */
async function createPrivately(path: string): Promise<void> {
  const file = await openFile(path);
  try {
    checkOwner(path, await file.stat());
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw new AppError('KEY_FILE_UNSAFE', { path, reason: 'it cannot be opened' }, { cause });
  }
}

function checkOwner(path: string, { mode, uid }: { mode: number; uid: number }): void {
  if ((mode & 0o077) !== 0) {
    throw new AppError('KEY_FILE_UNSAFE', {
      path,
      reason: 'others may read or change it',
      advice: `run: chmod go= ${path}`,
    });
  }
  const own = process.getuid?.();
  // Root may act for the tracker's user; SQLite then keeps the owner of its files.
  if (own !== undefined && own !== 0 && uid !== own) {
    throw new AppError('KEY_FILE_UNSAFE', { path, reason: 'it belongs to another user' });
  }
}
