import { AppError } from '@sealift/core';

/**
 * Reads an iterator chunk by chunk with a deadline for each, and gives up at once when `signal` aborts, whatever the
 * iterator does. It asks for a chunk only when told to, so a source may reuse its buffers.
 */
export class ChunkReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal;

  constructor(chunks: AsyncIterable<Uint8Array>, { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal }) {
    this.#iterator = chunks[Symbol.asyncIterator]();
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
  }

  /** The next chunk, or `undefined` at the end. Throws `SWARM_STALLED` at the deadline, or what the iterator throws. */
  next(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(deadline);
        this.#signal.removeEventListener('abort', onAbort);
      };
      const fail = (error: unknown): void => {
        settle();
        reject(error);
      };
      const onAbort = (): void => fail(this.#signal.reason);
      const deadline = setTimeout(
        () => fail(new AppError('SWARM_STALLED', { reason: 'no data within the time limit' })),
        this.#timeoutMs,
      );
      if (this.#signal.aborted) {
        onAbort();
        return;
      }
      this.#signal.addEventListener('abort', onAbort);
      this.#iterator.next().then(({ done, value }) => {
        settle();
        resolve(done === true ? undefined : value);
      }, fail);
    });
  }

  /** Lets go of the iterator. Does not wait for it: it may never answer. */
  stop(): void {
    try {
      this.#iterator.return?.()?.catch(() => {});
    } catch {
      // A source that cannot even be let go of has nothing more to tell us.
    }
  }
}
