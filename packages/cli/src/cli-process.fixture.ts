import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

export const MAIN = path.join(import.meta.dirname, 'main.ts');
/** Default limit of one command's run, in ms, after which it counts as hung: two cores may carry other suites as well. */
const LIMIT_MS = 40_000;

/** The real command line in a process of its own. */
export class CliProcess {
  readonly child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #printed: Buffer[] = [];
  readonly #waiters = new Set<(line: string) => void>();
  readonly #closed: Promise<unknown>;

  constructor(
    args: readonly string[],
    { env = {}, limitMs = LIMIT_MS }: { env?: Readonly<Record<string, string>>; limitMs?: number } = {},
  ) {
    this.child = spawn(process.execPath, [MAIN, ...args], {
      env: { PATH: process.env['PATH'], ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: limitMs,
      killSignal: 'SIGKILL',
    });
    this.#closed = once(this.child, 'close');
    const { stdout, stderr } = this.child;
    assert.ok(stdout && stderr);
    stdout.on('data', (chunk: Buffer) => this.#printed.push(chunk));
    createInterface({ input: stderr }).on('line', (line) => {
      this.#lines.push(line);
      for (const waiter of this.#waiters) waiter(line);
    });
  }

  /** What it said on standard error so far. */
  get said(): string {
    return this.#lines.join('\n');
  }

  /** What it printed on standard output so far. */
  get printed(): string {
    return Buffer.concat(this.#printed).toString();
  }

  /** The fields of the first log line of this event; throws if it ends before. */
  async logs(event: string): Promise<Record<string, unknown>> {
    const line = await this.hears(`"event":"${event}"`);
    return JSON.parse(line) as Record<string, unknown>;
  }

  /** The first line on standard error with this text; throws if it ends before. */
  async hears(text: string): Promise<string> {
    const earlier = this.#lines.find((line) => line.includes(text));
    if (earlier !== undefined) return earlier;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const waiter = (line: string): void => {
      if (line.includes(text)) resolve(line);
    };
    this.#waiters.add(waiter);
    void this.#closed.then(() => reject(new Error(`it ended without "${text}":\n${this.said}`)));
    return await promise.finally(() => this.#waiters.delete(waiter));
  }

  /** Waits for its end; the exit status, or the signal that killed it. */
  async ended(): Promise<number | string> {
    await this.#closed;
    return this.child.exitCode ?? this.child.signalCode ?? 'unknown';
  }

  /** Asks it to end and waits for that. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.child.kill(signal);
    return await this.ended();
  }
}

/** Gives `work` a directory that is gone afterwards. */
export async function inTemporaryDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'sealift-cli-'));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Flags of a node that finds no tracker and takes no fixed port, with its data in `data`. */
export function lonelyNode(data: string): string[] {
  return [
    ...[
      'node',
      '--data',
      data,
      '--registry',
      'registry.example',
      '--tracker',
      `https://127.0.0.1:1#sha256:${'a'.repeat(64)}`,
    ],
    ...['--listen', '127.0.0.1:0', '--peer-listen', '127.0.0.1:0'],
  ];
}
