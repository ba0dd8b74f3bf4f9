import { Worker } from 'node:worker_threads';
import { AppError } from '@sealift/core';
import { asDiskError, errorOfFault } from './disk-error.ts';
import { Gate } from './gate.ts';
import type { PieceResult, PieceTask, ThreadMessage } from './piece-task.ts';

/**
 * Tasks handed to the thread at once. Enough that it never idles while the main thread is busy, few enough that a crash
 * of the thread fails few pieces.
 */
const MAX_IN_FLIGHT = 8;

/** What became of a task, and the buffer that was lent to the thread. */
export type PieceDone = PieceResult & { readonly buffer: ArrayBuffer | undefined };

interface PendingTask {
  readonly resolve: (done: PieceDone) => void;
  readonly reject: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly pending: Map<number, PendingTask>;
  /** Settles when the thread has loaded its code, or has ended. */
  readonly ready: Promise<void>;
}

/**
 * One thread that hashes and writes pieces, so that neither blocks the event loop. Starts at the first task at the latest,
 * keeps the process alive only while it has one, and is replaced at the next task if it crashed.
 */
export class PieceWorker {
  readonly #gate = new Gate(MAX_IN_FLIGHT);
  #thread: Thread | undefined;
  #nextId = 0;
  #isStopped = false;

  /** Throws `STORE_FULL` or `STORE_FAULT`, also if the thread crashed; the buffer is lost to the caller then. */
  run(task: PieceTask): Promise<PieceDone> {
    return this.#gate.run(() => this.#post(task));
  }

  /** Starts the thread ahead of its first task, which would wait some 100 ms for it. Never throws: a task tells what is wrong. */
  async warmUp(): Promise<void> {
    if (!this.#isStopped) await this.#start().ready;
  }

  /** Ends the thread. Pending tasks fail. Later ones too. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#thread?.worker.terminate();
  }

  #post(task: PieceTask): Promise<PieceDone> {
    return new Promise((resolve, reject) => {
      if (this.#isStopped) throw new AppError('STORE_CLOSED');
      const { worker, pending } = this.#start();
      const id = this.#nextId;
      this.#nextId += 1;
      worker.postMessage({ id, task }, task.kind === 'write' ? [task.buffer] : []);
      pending.set(id, { resolve, reject });
      worker.ref();
    });
  }

  #start(): Thread {
    if (this.#thread !== undefined) return this.#thread;
    const worker = new Worker(new URL('./hash-worker.ts', import.meta.url));
    // Held only while it has tasks; one that is refused before it is posted must not hold it.
    worker.unref();
    const ready = Promise.withResolvers<void>();
    const thread: Thread = { worker, pending: new Map(), ready: ready.promise };
    let crash: unknown;
    worker.on('message', (reply: ThreadMessage) => {
      if (reply === 'ready') {
        ready.resolve();
        return;
      }
      const task = thread.pending.get(reply.id);
      thread.pending.delete(reply.id);
      if (thread.pending.size === 0) worker.unref();
      if ('outcome' in reply.result) task?.resolve({ ...reply.result, buffer: reply.buffer });
      else task?.reject(asDiskError(errorOfFault(reply.result.fault), 'writing or checking a piece failed'));
    });
    worker.on('error', (error) => {
      crash = error;
    });
    // Tasks fail only here: until the thread is gone it may still use the files, and they must not be closed under it.
    worker.on('exit', () => {
      if (this.#thread === thread) this.#thread = undefined;
      ready.resolve();
      for (const { reject } of thread.pending.values()) {
        reject(new AppError('STORE_FAULT', { reason: 'the hash worker ended' }, { cause: crash }));
      }
      thread.pending.clear();
    });
    this.#thread = thread;
    return thread;
  }
}
