import type { Duplex } from 'node:stream';
import { AppError } from '@sealift/core';
import { LineSplitter } from './line-splitter.ts';

/** Longest message, in bytes: the bitfield of the largest blob in the smallest pieces, or the longest manifest, takes 700 KiB in base64. */
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** Bytes that may wait for the other side to read. A side that leaves more lying hangs; ours must not grow with it. */
const MAX_UNSENT_BYTES = 16 * 1024 * 1024;

/**
 * The talk between the front of a node and its engine: one JSON object per line, over a pair of sockets that only these two
 * processes have. It ends with either process; what is wrong with a message ends it too.
 */
export class EngineChannel<In, Out extends object> {
  readonly #stream: Duplex;
  readonly #onMessage: (message: In) => void;
  readonly #onClosed: (error: Error | undefined) => void;
  #isClosed = false;

  constructor({
    stream,
    parse,
    onMessage,
    onClosed,
  }: {
    stream: Duplex;
    /** Throws for what is no message. */
    parse: (text: string) => In;
    onMessage: (message: In) => void;
    /** Is called once, when nothing can be sent or heard any more; not after {@link close}. */
    onClosed: (error: Error | undefined) => void;
  }) {
    this.#stream = stream;
    this.#onMessage = onMessage;
    this.#onClosed = onClosed;
    const lines = new LineSplitter({
      maxBytes: MAX_MESSAGE_BYTES,
      onLine: (line) => this.#take(line, parse),
      onTooLong: () => this.#fail(new AppError('ENGINE_FAILED', { reason: 'a message above the limit' })),
    });
    stream.on('data', (chunk: Buffer) => lines.push(chunk));
    stream.on('error', (error) => this.#fail(error));
    stream.on('end', () => this.#fail(undefined));
    stream.on('close', () => this.#fail(undefined));
  }

  /** Sends a message; `false` if it could not be, because the channel has ended or the other side does not read. */
  send(message: Out): boolean {
    if (this.#isClosed || this.#stream.writableLength > MAX_UNSENT_BYTES) return false;
    this.#stream.write(`${JSON.stringify(message)}\n`);
    return true;
  }

  /** Ends the talk once what was sent has left. */
  end(): void {
    this.#isClosed = true;
    this.#stream.end(() => this.#stream.destroy());
  }

  /** Ends the talk at once. Safe to call twice. */
  close(): void {
    this.#isClosed = true;
    this.#stream.destroy();
  }

  #take(line: string, parse: (text: string) => In): void {
    if (this.#isClosed) return;
    let message: In;
    try {
      message = parse(line);
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    this.#onMessage(message);
  }

  #fail(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.close();
    this.#onClosed(error);
  }
}
