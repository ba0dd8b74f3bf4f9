import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A file system in memory, where there is one: disks are too noisy to compare programs on. */
const MEMORY_DIRECTORY = '/dev/shm';
/** How long a process may take to end by itself, in ms. */
const STOP_TIMEOUT_MS = 5_000;

/**
 * What one benchmark leaves behind nowhere: its directory and its processes. They go when it ends, however it ends, and at
 * the latest when this process exits.
 */
export class Scope implements AsyncDisposable {
  /** Empty at first, in memory where possible. */
  readonly directory: string;
  readonly signal: AbortSignal;
  /** Directories elsewhere. */
  readonly #others: string[] = [];
  readonly #children = new Set<ChildProcess>();
  readonly #onExit = (): void => this.#sweep();
  readonly #onAbort = (): void => {
    for (const child of this.#children) child.kill('SIGTERM');
  };

  constructor({ signal }: { signal: AbortSignal }) {
    this.signal = signal;
    this.directory = mkdtempSync(
      path.join(isWritable(MEMORY_DIRECTORY) ? MEMORY_DIRECTORY : tmpdir(), 'sealift-bench-'),
    );
    process.once('exit', this.#onExit);
    // Whoever waits for an answer of one of them learns of it by its end.
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Makes a directory where a node keeps its data: on a disk, and what is in use lies in the page cache. */
  makeDiskDirectory(): string {
    const directory = mkdtempSync(path.join(tmpdir(), 'sealift-bench-'));
    this.#others.push(directory);
    return directory;
  }

  /** Starts a program that ends with this scope. Its owner reads the streams that are not ignored. */
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    this.signal.throwIfAborted();
    const child = spawn(command, args, options);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    child.once('error', () => this.#children.delete(child));
    return child;
  }

  /** Ends a process of this scope: with SIGTERM, and with SIGKILL if that takes too long. Safe to call twice. */
  async stop(child: ChildProcess): Promise<void> {
    if (!this.#children.has(child)) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended.catch(() => {});
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children].map((child) => this.stop(child)));
    process.off('exit', this.#onExit);
    this.signal.removeEventListener('abort', this.#onAbort);
    this.#sweep();
  }

  #sweep(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const directory of [this.directory, ...this.#others]) rmSync(directory, { recursive: true, force: true });
  }
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false; // Not there, or not ours.
  }
}
