import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** Default limit of each wait for a service, in ms: generous, because two cores may carry several daemons and suites. */
const WAIT_TIMEOUT_MS = 30_000;
/** Lines kept for waits that begin after the line came, and for error messages; the log file holds all of them. */
const MAX_KEPT_LINES = 20_000;
/** Lines shown when a wait fails. */
const SHOWN_LINES = 25;

/** A line of a service that writes JSON, as far as we look at it. */
export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

interface Waiter {
  tryLine(line: string): boolean;
  fail(reason: string): void;
}

/** A process that runs until it is stopped. All it prints goes to a log file, and line by line to whoever waits for it. */
export class Service {
  readonly name: string;
  readonly logFile: string;
  /** Settles with the exit code, or the signal's name, once the process has ended and its log is written. */
  readonly ended: Promise<number | string>;
  readonly #child: ChildProcess;
  readonly #log: WriteStream;
  readonly #lines: string[] = [];
  readonly #waiters = new Set<Waiter>();
  #outcome: number | string | undefined;

  private constructor(name: string, logFile: string, child: ChildProcess) {
    this.name = name;
    this.logFile = logFile;
    this.#child = child;
    this.#log = createWriteStream(logFile, { flags: 'a' });
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.#onLine(line));
    }
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => this.#onLine(`cannot start: ${error.message}`));
      child.once('close', (code, signal) => {
        this.#outcome = code ?? signal ?? 'unknown';
        for (const waiter of this.#waiters) waiter.fail(`it ended with ${this.#outcome}`);
        this.#log.end(() => resolve(this.#outcome ?? 'unknown'));
      });
    });
  }

  /** Starts `file` in a process group of its own. */
  static start(o: { name: string; logFile: string; file: string; args: readonly string[]; env: NodeJS.ProcessEnv }) {
    const child = spawn(o.file, o.args, { env: o.env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    return new Service(o.name, o.logFile, child);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} did not start`);
    return this.#child.pid;
  }

  get isRunning(): boolean {
    return this.#outcome === undefined;
  }

  /** The lines printed so far, the oldest cut off above a limit. */
  get lines(): readonly string[] {
    return this.#lines;
  }

  /** The first line, earlier or later than now, for which `match` gives a value. Fails if the service ends before. */
  waitFor<T>(
    what: string,
    match: (line: string) => T | undefined,
    { timeoutMs = WAIT_TIMEOUT_MS }: { timeoutMs?: number } = {},
  ): Promise<T> {
    for (const line of this.#lines) {
      const value = match(line);
      if (value !== undefined) return Promise.resolve(value);
    }
    if (!this.isRunning) return Promise.reject(this.#failure(what, `it ended with ${this.#outcome}`));
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        act();
      };
      const waiter: Waiter = {
        tryLine: (line) => {
          const value = match(line);
          if (value !== undefined) settle(() => resolve(value));
          return value !== undefined;
        },
        fail: (reason) => settle(() => reject(this.#failure(what, reason))),
      };
      const timer = setTimeout(() => waiter.fail(`${timeoutMs} ms passed`), timeoutMs);
      this.#waiters.add(waiter);
    });
  }

  /** The first JSON line of this event for which `matches` holds. */
  waitForEvent(event: string, matches: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return this.waitFor(`event ${event}`, (text) => {
      const line = parseLogLine(text);
      return line?.event === event && matches(line) ? line : undefined;
    });
  }

  /** Asks the process to end and waits for it. Fails, and kills its group, if it does not end in time. */
  async stop({ signal = 'SIGTERM', timeoutMs = 20_000 }: { signal?: NodeJS.Signals; timeoutMs?: number } = {}) {
    if (!this.isRunning) return;
    this.#signal(signal, this.pid);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), timeoutMs);
    });
    const first = await Promise.race([this.ended, late]);
    clearTimeout(timer);
    if (first !== 'late') return;
    this.#signal('SIGKILL', -this.pid);
    await this.ended;
    throw this.#failure('its end', `it ignored ${signal} for ${timeoutMs} ms`);
  }

  #signal(signal: NodeJS.Signals, pid: number): void {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  #onLine(line: string): void {
    this.#log.write(`${line}\n`);
    this.#lines.push(line);
    if (this.#lines.length > MAX_KEPT_LINES) this.#lines.splice(0, MAX_KEPT_LINES / 2);
    for (const waiter of this.#waiters) waiter.tryLine(line);
  }

  #failure(what: string, reason: string): Error {
    const tail = this.#lines.slice(-SHOWN_LINES).join('\n');
    return new Error(`waited for ${what} of ${this.name}: ${reason}. Its last lines:\n${tail}`);
  }
}

/** The JSON object of a line, if it is one with an event. */
export function parseLogLine(text: string): LogLine | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const line = JSON.parse(text) as LogLine;
    return typeof line.event === 'string' ? line : undefined;
  } catch {
    return undefined; // Some other program's text.
  }
}
