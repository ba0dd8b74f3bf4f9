import { AppError } from '@sealift/core';

/**
 * Reads an iterator chunk by chunk with a deadline for each, and gives up at once when `signal` aborts, whatever the
 * iterator does. It asks for a chunk only when told to, so a source may reuse its buffers.
 */
export class ChunkReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal;
  // One timer and one listener for all chunks: thousands pass here per second.
  readonly #deadline: NodeJS.Timeout;
  readonly #onAbort = (): void => this.#fail?.(this.#signal.reason);
  /** Ends the wait for the chunk that was asked for, if there is one. */
  #fail: ((error: unknown) => void) | undefined;

  constructor(chunks: AsyncIterable<Uint8Array>, { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal }) {
    this.#iterator = chunks[Symbol.asyncIterator]();
    this.#signal = signal;
    this.#deadline = setTimeout(
      () => this.#fail?.(new AppError('SWARM_STALLED', { reason: 'no data within the time limit' })),
      timeoutMs,
    );
    signal.addEventListener('abort', this.#onAbort);
  }

  /** The next chunk, or `undefined` at the end. Throws `SWARM_STALLED` at the deadline, or what the iterator throws. */
  next(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      if (this.#signal.aborted) {
        this.#onAbort();
        return;
      }
      this.#deadline.refresh();
      this.#iterator.next().then(({ done, value }) => {
        this.#fail = undefined;
        resolve(done === true ? undefined : value);
      }, reject);
    });
  }

  /** Lets go of the iterator. Does not wait for it: it may never answer. */
  stop(): void {
    clearTimeout(this.#deadline);
    this.#signal.removeEventListener('abort', this.#onAbort);
    try {
      this.#iterator.return?.()?.catch(() => {});
    } catch {
      // A source that cannot even be let go of has nothing more to tell us.
    }
  }
}
