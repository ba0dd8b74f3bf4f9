import { AppError, isAppError } from '@sealift/core';
import { type Dispatcher, request as httpRequest } from 'undici';
import { type AnnounceAnswer, decodeAnnounceAnswer, MAX_ANNOUNCE_ANSWER_LENGTH } from './announce-answer.ts';
import { type AnnounceRequest, encodeAnnounceQuery } from './announce-request.ts';

/** Longest wait for a whole answer, in ms. An announce comes back in milliseconds, and the next one is never far. */
const ANNOUNCE_TIMEOUT_MS = 15_000;

/** Announces to one tracker over HTTPS. Holds no connection itself: the dispatcher owns TLS, certificate and sockets. */
export class AnnounceClient {
  readonly #origin: string;
  readonly #dispatcher: () => Dispatcher;

  /**
   * `origin` is `https://host[:port]`, anything else throws `CONFIG_INVALID`. `dispatcher` is asked at each announce,
   * because the client certificate in it changes with each renewal.
   */
  constructor({ origin, dispatcher }: { origin: string; dispatcher: () => Dispatcher }) {
    this.#origin = parseOrigin(origin);
    this.#dispatcher = dispatcher;
  }

  /**
   * One announce. Throws `ANNOUNCE_FAILED` for whatever goes wrong on the way or in the answer, and the signal's own
   * reason if the caller gives up. A redirect is a failure: the grant goes to the tracker and to nobody else.
   */
  async announce(announce: AnnounceRequest, { signal }: { signal: AbortSignal }): Promise<AnnounceAnswer> {
    signal.throwIfAborted();
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(ANNOUNCE_TIMEOUT_MS)]);
    try {
      return decodeAnnounceAnswer(await this.#fetch(announce, deadline));
    } catch (cause) {
      signal.throwIfAborted();
      throw isAppError(cause, 'ANNOUNCE_FAILED') ? cause : unanswered(cause);
    }
  }

  async #fetch(announce: AnnounceRequest, signal: AbortSignal): Promise<Buffer> {
    const { statusCode, body } = await httpRequest(`${this.#origin}/announce?${encodeAnnounceQuery(announce)}`, {
      method: 'GET',
      headers: { authorization: `Bearer ${announce.grant}`, 'accept-encoding': 'identity' },
      dispatcher: this.#dispatcher(),
      signal,
    });
    if (statusCode !== 200) {
      // Reads a short body to its end, so that the connection can be used again, and cuts a long one off.
      await body.dump({ limit: 16_384, signal });
      throw new AppError('ANNOUNCE_FAILED', { reason: 'the tracker refused', status: statusCode });
    }
    return readBounded(body);
  }
}

async function readBounded(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MAX_ANNOUNCE_ANSWER_LENGTH)
      throw new AppError('ANNOUNCE_FAILED', { reason: 'the answer is too long' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function unanswered(cause: unknown): AppError {
  return new AppError('ANNOUNCE_FAILED', { reason: 'no whole answer from the tracker' }, { cause });
}

function parseOrigin(origin: string): string {
  const url = URL.parse(origin);
  // Whatever stands beside scheme, host and port would be dropped without a word, or leak into each request.
  if (url === null || url.protocol !== 'https:' || url.href !== `${url.origin}/`) {
    throw new AppError('CONFIG_INVALID', { reason: 'the tracker is not of the form https://host:port' });
  }
  return url.origin;
}
