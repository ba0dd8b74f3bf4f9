import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Server } from 'node:net';
import path from 'node:path';

interface Question {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}
type Answer = { readonly id: number } & ({ readonly result: unknown } | { readonly error: string });

/** A process of its own for each party, so that the CPU time of each can be told from that of the others. */
export class Child {
  readonly #process: ChildProcess;
  #lastId = 0;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** Starts `file` of this directory; it answers what it hands to {@link serve}. */
  static start(file: string): Child {
    const child = fork(path.join(import.meta.dirname, file), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    child.setMaxListeners(0);
    return new Child(child);
  }

  /** Rejects when the child reports an error or ends before it answers. */
  ask<T>(name: string, argument: unknown = {}): Promise<T> {
    this.#lastId += 1;
    const question: Question = { id: this.#lastId, name, argument };
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => {
        reject(new Error(`the process ended (${code}) before it answered "${name}"`));
      };
      const onAnswer = (answer: Answer): void => {
        if (answer.id !== question.id) return;
        this.#process.off('exit', onExit).off('message', onAnswer);
        if ('error' in answer) reject(new Error(answer.error));
        else resolve(answer.result as T);
      };
      this.#process.on('message', onAnswer).once('exit', onExit);
      this.#process.send(question);
    });
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }
}

/** Answers the questions of the parent, and `cpuSeconds` and `rssMiB` of this process beside them. */
export function serve(handlers: Readonly<Record<string, (argument: never) => Promise<unknown>>>): void {
  const all: Readonly<Record<string, (argument: never) => Promise<unknown>>> = {
    ...handlers,
    cpuSeconds: async () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    rssMiB: async () => process.memoryUsage.rss() / 2 ** 20,
  };
  process.on('message', ({ id, name, argument }: Question) => {
    void Promise.resolve(all[name]?.(argument as never))
      .then((result) => ({ id, result }))
      .catch((error: unknown) => ({
        id,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }))
      .then((answer: Answer) => process.send?.(answer));
  });
  // The parent is gone, and with it the only reason to be.
  process.on('disconnect', () => process.exit());
}

/** Holds every listener of this process to loopback, whatever its owner asks for: a benchmark serves nobody else. */
export function listenOnLoopbackOnly(): void {
  const listen = Server.prototype.listen as (this: Server, options: object, callback?: () => void) => Server;
  Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
    const [first] = args;
    const port = typeof first === 'object' && first !== null ? (first as { port?: number }).port : Number(first ?? 0);
    const callback = args.find((arg) => typeof arg === 'function') as (() => void) | undefined;
    return listen.call(this, { host: '127.0.0.1', port: port ?? 0 }, callback);
  };
}
