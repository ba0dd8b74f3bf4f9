import { constants } from 'node:fs';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AppError, isAppError } from '@sealift/core';
import { asDiskError, isMissing } from './disk-error.ts';

/** SQLite's result code for a file that is locked by another connection (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;
/** Field 3 of /proc/<pid>/stat for a zombie and a dead process. */
const ENDED_STATES: ReadonlySet<string | undefined> = new Set(['Z', 'X']);

/**
 * Holds a directory for one process. A pid file names the holder, with its start time, so that a reused pid does not
 * pass for it. Under it lies a kernel lock, taken through SQLite because Node has no call for it: a pid means nothing in
 * another container's pid namespace, where a live holder would look dead, and two processes that find a stale pid file
 * at once must not both take it over. The kernel drops its lock with the process, however that ends.
 */
export class DirectoryLock {
  readonly #database: DatabaseSync;
  readonly #pidFile: string;

  /**
   * `prefix` begins the names of its files, where the lock is for one file of the directory alone. Throws `STORE_LOCKED` naming the
   * holder's pid.
   */
  static async acquire(directory: string, { prefix = '' }: { prefix?: string } = {}): Promise<DirectoryLock> {
    const pidFile = join(directory, `${prefix}pid`);
    const lockFile = join(directory, `${prefix}lock`);
    // Made by us first, so that its mode is not SQLite's choice.
    await (await open(lockFile, constants.O_RDWR | constants.O_CREAT, 0o600)).close();
    const database = new DatabaseSync(lockFile);
    try {
      lockDatabase(database);
      await writePidFile(pidFile);
    } catch (error) {
      database.close();
      throw isBusy(error) ? lockedBy((await readHolder(pidFile))?.pid, error) : error;
    }
    return new DirectoryLock(database, pidFile);
  }

  private constructor(database: DatabaseSync, pidFile: string) {
    this.#database = database;
    this.#pidFile = pidFile;
  }

  /** Safe to call twice. */
  async release(): Promise<void> {
    if (!this.#database.isOpen) return;
    // On a disk that became read-only it stays behind, and the next holder sees from the start time that it is stale.
    await rm(this.#pidFile, { force: true }).catch(() => {});
    if (this.#database.isOpen) this.#database.close();
  }
}

function lockDatabase(database: DatabaseSync): void {
  // An open exclusive transaction holds the lock. Nothing is ever written to the file, it stays empty.
  database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
}

async function writePidFile(path: string): Promise<void> {
  const holder = await readHolder(path);
  // Reached with the kernel lock in hand: only a file system without working locks lets a live holder show up here.
  const isAlive = holder?.startTime !== undefined && (await startTimeOf(holder.pid)) === holder.startTime;
  if (isAlive && holder.pid !== process.pid) throw lockedBy(holder.pid);
  await rm(path, { force: true });
  try {
    const file = await open(path, 'wx', 0o600);
    await file.writeFile(`${process.pid} ${(await startTimeOf(process.pid)) ?? '-'}\n`).finally(() => file.close());
  } catch (error) {
    // On a full disk the kernel lock has to do: the node must start, and the file only names the holder.
    if (!isAppError(asDiskError(error, 'naming the holder failed'), 'STORE_FULL')) throw error;
  }
}

async function readHolder(path: string): Promise<{ pid: number; startTime: string | undefined } | undefined> {
  try {
    const match = /^(?<pid>[0-9]{1,10}) (?<startTime>[0-9]{1,20}|-)\n$/.exec(await readFile(path, 'utf8'));
    const { pid, startTime } = match?.groups ?? {};
    if (pid === undefined) return undefined;
    return { pid: Number(pid), startTime: startTime === '-' ? undefined : startTime };
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * When a process started, in clock ticks since boot: field 22 of /proc/<pid>/stat (proc_pid_stat(5)). `undefined` for one
 * that has ended, also while its parent has taken no notice: in a container that may be for ever.
 */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // Field 2, the command in parentheses, may itself hold spaces and parentheses, so count from its end.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ENDED_STATES.has(fields[0]) ? undefined : fields[19];
  } catch {
    // No such process, or no /proc.
    return undefined;
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && (error as Error & { errcode?: number }).errcode === SQLITE_BUSY;
}

function lockedBy(pid: number | undefined, cause?: unknown): AppError {
  const details = { pid, advice: 'stop the other process or use another directory' };
  return new AppError('STORE_LOCKED', details, cause === undefined ? {} : { cause });
}
