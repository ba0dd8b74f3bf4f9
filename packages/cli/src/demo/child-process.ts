import { type ChildProcess, fork } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { AppError } from '@sealift/core';

/** Longest wait for a part of the demo to come up, in ms: two cores may have to start sixteen nodes. */
const START_TIMEOUT_MS = 90_000;
/** Longest wait for a part to stop, in ms. */
const STOP_TIMEOUT_MS = 10_000;
/** Log lines kept to explain a failure. */
const TAIL_LINES = 8;

/** A process of the demo. It ends with the demo, however the demo ends: the closing channel is its sign to stop. */
export class DemoProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #tail: string[] = [];
  readonly #started = Promise.withResolvers<Record<string, unknown>>();

  /** Runs a TypeScript file with `args`; its log goes to `logFile`. */
  constructor({ name, file, args, logFile }: { name: string; file: URL; args: readonly string[]; logFile: string }) {
    this.name = name;
    const log = createWriteStream(logFile, { mode: 0o600 });
    // A full disk costs the log, not the demo.
    log.on('error', () => {});
    this.#child = fork(fileURLToPath(file), args, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // A group of its own: Ctrl-C is for the demo, which then ends its parts in order.
      detached: true,
      env: cleanEnvironment(),
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exited = promise;
    const onEnd = (): void => {
      log.end();
      this.#started.reject(this.#failure());
      resolve();
    };
    this.#child.on('error', () => {
      // A message that came too late ends here, too; only a process that never was has no other end.
      if (this.#child.pid === undefined) onEnd();
    });
    // Not at its exit: its last lines, which say why, may be on their way.
    this.#child.once('close', onEnd);
    // Nobody may be waiting for the start any more when the process ends.
    this.#started.promise.catch(() => {});
    if (this.#child.stderr === null) return;
    createInterface({ input: this.#child.stderr }).on('line', (line) => {
      log.write(`${line}\n`);
      this.#tail.push(line);
      if (this.#tail.length > TAIL_LINES) this.#tail.shift();
      if (line.includes('"event":"started"')) this.#started.resolve(JSON.parse(line) as Record<string, unknown>);
    });
  }

  /** The fields of its `started` line. */
  async started(): Promise<Record<string, unknown>> {
    const timeout = setTimeout(
      () => this.#started.reject(new AppError('DEMO_FAILED', { reason: `${this.name} did not start in time` })),
      START_TIMEOUT_MS,
    );
    try {
      return await this.#started.promise;
    } finally {
      clearTimeout(timeout);
    }
  }

  /** Waits for its end; throws unless it ended well. */
  async finished(): Promise<void> {
    await this.#exited;
    if (this.#child.exitCode !== 0) throw this.#failure();
  }

  /** Sends `message` over the channel. */
  tell(message: object): void {
    this.#child.send(message);
  }

  /** Sends `question` over the channel and waits for the answer. */
  async ask<T>(question: string): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#child.once('message', (answer) => resolve(answer as T));
    void this.#exited.then(() => reject(this.#failure()));
    this.#child.send(question);
    return await promise;
  }

  /** Asks it to stop, and kills it if it does not. Safe to call twice. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    const timeout = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timeout);
  }

  /** Kills it and waits for nothing. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #failure(): AppError {
    const end = this.#child.signalCode ?? this.#child.exitCode;
    return new AppError('DEMO_FAILED', { reason: `${this.name} ended (${end}):\n  ${this.#tail.join('\n  ')}` });
  }
}

/** The demo configures its parts by flags alone: settings of a real node on this machine must not reach them. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SEALIFT_')));
}
