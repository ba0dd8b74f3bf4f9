import { AppError } from '@sealift/core';
import { type Dispatcher, request } from 'undici';
import { codeOf, unavailable } from './unavailable.ts';

/** How to send one request. */
export interface ExchangeOptions {
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  /** Longest wait for the answer's headers, in ms, connecting and waiting for a free connection included. */
  readonly headersTimeoutMs: number;
  /** Longest pause between two parts of the body, in ms. Our own backpressure does not count. */
  readonly bodyTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** An answer whose headers are there. Whoever gets it reads, drains or destroys the body. */
export type Answer = Dispatcher.ResponseData<null>;

/** Bytes of an unwanted body that we read to keep its connection; a longer one costs more than a new handshake. */
const MAX_DRAINED_BYTES = 16 * 1024;
/** Failures of a kept connection that the server had closed already. */
const STALE_CONNECTION = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

/**
 * Sends one GET or HEAD and follows nothing. Throws `REGISTRY_UNAVAILABLE`, or the signal's reason once it is aborted;
 * an abort later on destroys the body. Asks a second time where the connection breaks before any answer: both methods
 * are idempotent, and a kept connection may have died unnoticed.
 */
export async function exchange(url: URL, { signal, headersTimeoutMs, ...options }: ExchangeOptions): Promise<Answer> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(signal.reason);
  const late = new AppError('REGISTRY_UNAVAILABLE', { reason: 'no answer in time', timeoutMs: headersTimeoutMs });
  const timer = setTimeout(() => controller.abort(late), headersTimeoutMs);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const send = (): Promise<Answer> => request(url, requestOptions(options, controller.signal));
    const answer = await send().catch((error: unknown) => {
      if (controller.signal.aborted || !STALE_CONNECTION.has(codeOf(error) ?? '')) throw error;
      return send();
    });
    // Whoever reads the body sees its error; one that comes before the first read must not end the process.
    answer.body.on('error', () => {});
    answer.body.once('close', () => signal.removeEventListener('abort', onAbort));
    return answer;
  } catch (error) {
    signal.removeEventListener('abort', onAbort);
    signal.throwIfAborted();
    throw unavailable(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets go of a body that nobody wants; returns at once and never throws. */
export function discard({ body }: Answer, timeoutMs: number): void {
  // A body that comes in drops would otherwise hold its connection for ever.
  const timer = setTimeout(() => body.destroy(), timeoutMs);
  body.once('close', () => clearTimeout(timer));
  body.dump({ limit: MAX_DRAINED_BYTES }).catch(() => {
    // Its connection is gone, which is all there was to lose.
  });
}

/**
 * The whole body, of at most `maxBytes`, within `timeoutMs` altogether. Throws `REGISTRY_UNAVAILABLE` or, after an abort,
 * the signal's reason.
 */
export async function readBody(
  { body }: Answer,
  { maxBytes, timeoutMs, signal }: { maxBytes: number; timeoutMs: number; signal: AbortSignal },
): Promise<Buffer> {
  const late = new AppError('REGISTRY_UNAVAILABLE', { reason: 'the body does not end in time', timeoutMs });
  const timer = setTimeout(() => body.destroy(late), timeoutMs);
  try {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'the body is too long', maxBytes });
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, length);
  } catch (error) {
    signal.throwIfAborted();
    throw unavailable(error);
  } finally {
    clearTimeout(timer);
  }
}

function requestOptions(
  { method, headers, dispatcher, bodyTimeoutMs }: Omit<ExchangeOptions, 'signal' | 'headersTimeoutMs'>,
  signal: AbortSignal,
) {
  // Our own wait stands in the place of undici's: it covers queueing and connecting too.
  return { method, headers, dispatcher, signal, headersTimeout: 0, bodyTimeout: bodyTimeoutMs };
}
