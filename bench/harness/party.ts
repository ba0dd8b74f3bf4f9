import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Scope } from './scope.ts';

/** One answer of a party. */
type Answer = { readonly id: number } & ({ readonly result: unknown } | { readonly error: string });

/** What a party says about its own use of the machine: getrusage(2) of the whole process, all threads. */
export interface Usage {
  /** User and system time since the process started, in seconds. */
  readonly cpuSeconds: number;
  /** Largest resident set so far, in MiB. */
  readonly peakRssMiB: number;
}

/**
 * A process of its own for each side of a transfer, so that the CPU time of one can be told from that of the other. It is
 * asked in lines of JSON on its standard input and answers on its standard output, so it may be Node or Python.
 */
export class Party {
  readonly #scope: Scope;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;
  #errors = '';

  private constructor(scope: Scope, child: ChildProcess) {
    this.#scope = scope;
    this.#child = child;
    const { stdin, stdout, stderr } = child;
    if (stdin === null || stdout === null || stderr === null) throw new TypeError('a party without its streams');
    createInterface({ input: stdout }).on('line', (line) => this.#onLine(line));
    // Kept for the message of a failure; bounded, because a broken program may repeat itself for ever.
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-4_000);
    });
    // It may end before it has read what it was asked; `exit` tells.
    stdin.on('error', () => {});
    child.once('error', (error) => this.#fail(error));
    child.once('close', (code, signal) => {
      this.#fail(new Error(`a party ended (${signal ?? code}) before it answered\n${this.#errors}`));
    });
  }

  /** Starts a TypeScript file of this repository. */
  static node(scope: Scope, file: string, { nodeArgs = [] }: { nodeArgs?: readonly string[] } = {}): Party {
    return Party.command(scope, process.execPath, [...nodeArgs, file]);
  }

  /** Starts any program that speaks the protocol. */
  static command(scope: Scope, command: string, args: readonly string[]): Party {
    return new Party(scope, scope.spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
  }

  /** Asks the party to do `name`; rejects when it fails or ends. */
  async ask<T>(name: string, argument: unknown = {}): Promise<T> {
    this.#lastId += 1;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(this.#lastId, answer);
    this.#child.stdin?.write(`${JSON.stringify({ id: this.#lastId, name, argument })}\n`);
    return (await answer.promise) as T;
  }

  async usage(): Promise<Usage> {
    return await this.ask<Usage>('usage');
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Lets the process end by itself, with all that it does at its end; resolves when it has. */
  async finish(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await ended;
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    await this.#scope.stop(this.#child);
  }

  #onLine(line: string): void {
    const answer = JSON.parse(line) as Answer;
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('error' in answer) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer.result);
  }

  #fail(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
