import type { ServerResponse } from 'node:http';
import { AppError } from '@sealift/core';
import { ChunkReader } from './chunk-reader.ts';

/**
 * The body of one blob answer: takes bytes in order, from whoever has them, and knows how far it is. The head goes out with
 * the first byte and not before, so that until then somebody else may still answer.
 */
export class BodySink {
  /** Offset in the blob of the next byte to be sent. */
  position: number;
  readonly #response: ServerResponse;
  readonly #end: number;
  readonly #sendHead: () => void;
  readonly #readTimeoutMs: number;
  readonly #signal: AbortSignal;
  /** Ends the wait for the chunk that is leaving. A response cut off before it had its socket never calls back. */
  #giveUp: (() => void) | undefined;

  constructor(options: {
    response: ServerResponse;
    /** First byte of the body, as an offset in the blob. */
    start: number;
    /** End of the body, exclusive. */
    end: number;
    sendHead: () => void;
    /** Longest wait for the next chunk, in ms. */
    readTimeoutMs: number;
    /** Aborts when the client has gone. */
    signal: AbortSignal;
  }) {
    this.position = options.start;
    this.#response = options.response;
    this.#end = options.end;
    this.#sendHead = options.sendHead;
    this.#readTimeoutMs = options.readTimeoutMs;
    this.#signal = options.signal;
  }

  get isComplete(): boolean {
    return this.position === this.#end;
  }

  /**
   * Sends what `open` gives, up to the end of the body. Throws `SWARM_STALLED` if that is too little or comes too late, and
   * what the giver or the connection throws; `position` then tells how far it came.
   */
  async take(
    open: (options: { signal: AbortSignal }) => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>,
  ): Promise<void> {
    const reading = new AbortController();
    const signal = AbortSignal.any([this.#signal, reading.signal]);
    const onAbort = (): void => this.#giveUp?.();
    this.#signal.addEventListener('abort', onAbort);
    let reader: ChunkReader | undefined;
    try {
      reader = new ChunkReader(await open({ signal }), { timeoutMs: this.#readTimeoutMs, signal });
      while (!this.isComplete) {
        const chunk = await reader.next();
        if (chunk === undefined) throw new AppError('SWARM_STALLED', { reason: 'the data ended early' });
        if (chunk.length > 0) await this.#send(chunk.subarray(0, this.#end - this.position));
      }
    } finally {
      this.#signal.removeEventListener('abort', onAbort);
      reader?.stop();
      reading.abort();
    }
  }

  /** Ends a complete body, and cuts the connection of an incomplete one. */
  end(): void {
    if (!this.isComplete) {
      this.#response.destroy();
      return;
    }
    if (!this.#response.headersSent) this.#sendHead();
    this.#response.end();
  }

  async #send(chunk: Uint8Array): Promise<void> {
    if (!this.#response.headersSent) this.#sendHead();
    await this.#write(chunk);
    this.position += chunk.length;
  }

  /** Resolves when the chunk has left: only then may its buffer be used again, and is it time for the next one. */
  #write(chunk: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#giveUp = () => reject(this.#signal.reason);
      if (this.#signal.aborted) this.#giveUp();
      this.#response.write(chunk, (error) => {
        this.#giveUp = undefined;
        if (error) reject(error);
        else resolve();
      });
    });
  }
}
