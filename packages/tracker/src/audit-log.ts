import { constants } from 'node:fs';
import { type FileHandle, open, rename, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { AppError, type Clock, type Logger } from '@sealift/core';
import { AUDIT_FILE, dropOldestParts, fullPartName } from './audit-files.ts';

const LINE_FEED = 0x0a;

/** What happened. A name never changes its meaning: logs are read years later. */
export type AuditEvent =
  | 'certificate_issued'
  | 'certificate_renewed'
  | 'enrolment_refused'
  | 'denied_node_refused'
  | 'grant_issued'
  | 'grants_refreshed'
  | 'join_refused'
  | 'manifest_served'
  | 'manifest_refused'
  | 'announce_refused'
  | 'peer_reported'
  | 'swarm_opened'
  | 'swarm_closed'
  | 'node_denied'
  | 'node_allowed'
  | 'grants_revoked'
  | 'token_created'
  | 'ca_introduced'
  | 'ca_activated'
  | 'ca_retired'
  /** The quota is used up: the oldest part of this log is gone. */
  | 'audit_part_removed';

/** Fields of an audit line: ids, names of blobs and reasons. Nothing that could be used to get in. */
export type AuditFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Where CA and authorizer leave a trace of each decision. */
export interface AuditWriter {
  record(event: AuditEvent, fields: AuditFields): void;
}

/** Lines that wait for the disk at most, some 250 bytes each. Past it lines are dropped and the gap is written down. */
const MAX_WAITING_LINES = 20_000;
/** Parts that the quota is divided into: so much of the history goes at once, a sixteenth. */
const PARTS = 16;

/** What an {@link AuditFile} needs. */
export interface AuditFileOptions {
  /** The tracker's data directory. */
  readonly directory: string;
  /** Most bytes that the log may take. Without it nothing is ever removed: for processes that add a line or two. */
  readonly quotaBytes?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The audit log as a file of JSON lines that is only ever appended to, mode 0600. When it has a sixteenth of its quota it is
 * put aside whole, and the oldest part goes when the quota is used up, which is logged and written down. A disk that fails
 * costs lines, which is logged once until it takes some again, and never a pull. Several processes may append.
 */
export class AuditFile implements AuditWriter {
  readonly #directory: string;
  readonly #path: string;
  readonly #partBytes: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  #file: FileHandle | undefined;
  #size = 0;
  #isTorn = false;
  #waiting: string[] = [];
  #dropped = 0;
  /** The disk did not take the last lines, which has been said. */
  #isFailing = false;
  #writing: Promise<void> | undefined;

  constructor({ directory, quotaBytes = Number.POSITIVE_INFINITY, clock, log }: AuditFileOptions) {
    this.#directory = directory;
    this.#path = join(directory, AUDIT_FILE);
    this.#partBytes = quotaBytes / PARTS;
    this.#clock = clock;
    this.#log = log;
  }

  /** Opens the file; throws `KEY_FILE_UNSAFE` if others may read or change it. */
  async start(): Promise<void> {
    if (this.#file === undefined) await this.#open();
  }

  /** Writes what waits and closes the file. */
  async stop(): Promise<void> {
    await this.#writing;
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  record(event: AuditEvent, fields: AuditFields): void {
    if (this.#waiting.length >= MAX_WAITING_LINES) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(this.#line(event, fields));
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  #line(event: AuditEvent | 'lines_dropped', fields: AuditFields): string {
    return `${JSON.stringify({ time: new Date(this.#clock.now()).toISOString(), event, ...fields })}\n`;
  }

  async #write(): Promise<void> {
    // One turn of the event loop, so that lines of one burst share a write.
    await setImmediate();
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      const gap = this.#dropped > 0 ? this.#line('lines_dropped', { count: this.#dropped }) : '';
      const text = `${this.#isTorn ? '\n' : ''}${lines.join('')}${gap}`;
      try {
        await this.#file?.appendFile(text);
        this.#dropped = 0;
        this.#isTorn = false;
        this.#isFailing = false;
        this.#size += Buffer.byteLength(text);
      } catch (error) {
        // Some of it may stand in the file, without an end.
        this.#isTorn = true;
        this.#dropped += lines.length;
        if (!this.#isFailing) this.#log.error('audit_failed', { lines: lines.length, error });
        this.#isFailing = true;
      }
      if (this.#size >= this.#partBytes) await this.#putAside();
    }
  }

  async #open(): Promise<void> {
    const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW } = constants;
    const file = await open(this.#path, O_APPEND | O_CREAT | O_RDWR | O_NOFOLLOW, 0o600);
    try {
      const { mode, size, uid } = await file.stat();
      if ((mode & 0o077) !== 0) throw new AppError('KEY_FILE_UNSAFE', { file: 'audit log', advice: 'chmod 600' });
      // Root may act for the tracker's user, who must be able to go on with the file.
      const directory = await stat(this.#directory);
      if (process.getuid?.() === 0 && uid !== directory.uid) await file.chown(directory.uid, directory.gid);
      this.#size = size;
      this.#isTorn = size > 0 && (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer[0] !== LINE_FEED;
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#file = file;
  }

  async #putAside(): Promise<void> {
    try {
      const full = this.#file;
      await rename(this.#path, join(this.#directory, fullPartName(this.#clock.now())));
      await this.#open();
      await full?.close();
      for (const { path, endedAt } of await dropOldestParts(this.#directory, this.#partBytes * (PARTS - 1))) {
        const part = { file: basename(path), endedAt: new Date(endedAt).toISOString() };
        this.#log.warn('audit_part_removed', part);
        this.record('audit_part_removed', part);
      }
    } catch (error) {
      // The file in use stays in use; it is tried again when as much has come again.
      this.#size = 0;
      this.#log.error('audit_failed', { lines: 0, error });
    }
  }
}
