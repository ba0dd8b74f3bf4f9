import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { AppError, type Clock, type Logger } from '@sealift/core';

/** Name of the audit log in the tracker's data directory. */
export const AUDIT_FILE = 'audit.jsonl';

/** What happened. A name never changes its meaning: logs are read years later. */
export type AuditEvent =
  | 'certificate_issued'
  | 'certificate_renewed'
  | 'enrolment_refused'
  | 'denied_node_refused'
  | 'grant_issued'
  | 'grants_refreshed'
  | 'join_refused'
  | 'announce_refused'
  | 'peer_reported'
  | 'node_denied'
  | 'node_allowed'
  | 'token_created'
  | 'ca_introduced'
  | 'ca_activated'
  | 'ca_retired';

/** Fields of an audit line: ids, names of blobs and reasons. Nothing that could be used to get in. */
export type AuditFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Where CA and authorizer leave a trace of each decision. */
export interface AuditWriter {
  record(event: AuditEvent, fields: AuditFields): void;
}

/** Lines that wait for the disk at most, some 250 bytes each. Past it lines are dropped and the gap is written down. */
const MAX_WAITING_LINES = 20_000;

/**
 * The audit log as a file of JSON lines that is only ever appended to, mode 0600. A disk that fails costs lines, which is
 * logged, and never a pull.
 */
export class AuditFile implements AuditWriter {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  #file: FileHandle | undefined;
  #waiting: string[] = [];
  #dropped = 0;
  #writing: Promise<void> | undefined;

  constructor({ path, clock, log }: { path: string; clock: Clock; log: Logger }) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  /** Opens the file; throws `KEY_FILE_UNSAFE` if others may read or change it. */
  async start(): Promise<void> {
    if (this.#file !== undefined) return;
    const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW } = constants;
    const file = await open(this.#path, O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600);
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0) {
      await file.close();
      throw new AppError('KEY_FILE_UNSAFE', { file: 'audit log', advice: 'chmod 600' });
    }
    this.#file = file;
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
    this.#waiting.push(`${JSON.stringify({ time: new Date(this.#clock.now()).toISOString(), event, ...fields })}\n`);
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    // One turn of the event loop, so that lines of one burst share a write.
    await setImmediate();
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      if (this.#dropped > 0) {
        lines.push(`${JSON.stringify({ event: 'lines_dropped', count: this.#dropped })}\n`);
        this.#dropped = 0;
      }
      try {
        await this.#file?.appendFile(lines.join(''));
      } catch (error) {
        this.#log.error('audit_failed', { lines: lines.length, error });
      }
    }
  }
}
