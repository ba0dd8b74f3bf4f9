import { AppError, type Clock, type LogEvent, type Logger } from '@sealift/core';
import { createAgent } from '../connections.ts';
import { discard, exchange, readBody } from '../exchange.ts';
import { createTrust } from '../trust.ts';
import { parseJwksLeniently } from './key-set.ts';
import type { SigningKey } from './signing-key.ts';

/** Longest JWKS, in bytes: some dozen RSA keys with their certificates. */
const MAX_BYTES = 256 * 1024;
/** Longest wait for it, in ms: a join waits for it, at most once in a minute. */
const TIMEOUT_MS = 5_000;
/** How long fetched keys are used before they are fetched again, in ms. A key that was withdrawn is trusted so long. */
const MAX_AGE_MS = 3_600_000;
/** Least time between two fetches, in ms: anybody can name a key that nobody knows. */
const MIN_INTERVAL_MS = 60_000;

/** The keys behind a JWKS URL (RFC 7517), fetched over verified HTTPS when they are needed, and then kept for an hour. */
export class RemoteKeys {
  readonly #url: URL;
  readonly #caPem: string | undefined;
  readonly #authorize: (() => Promise<string | undefined>) | undefined;
  readonly #failureEvent: LogEvent;
  readonly #clock: Clock;
  readonly #log: Logger;
  #keys: readonly SigningKey[] = [];
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  readonly #stopped = new AbortController();

  /**
   * `url` is HTTPS. `caPem` adds to what the system trusts, and must have been checked. `authorize` gives the Authorization
   * header for this URL, where it needs one.
   */
  constructor({
    url,
    caPem,
    authorize,
    failureEvent = 'registry_keys_failed',
    clock,
    log,
  }: {
    url: URL;
    caPem: string | undefined;
    authorize?: (() => Promise<string | undefined>) | undefined;
    failureEvent?: LogEvent;
    clock: Clock;
    log: Logger;
  }) {
    this.#url = url;
    this.#caPem = caPem;
    this.#authorize = authorize;
    this.#failureEvent = failureEvent;
    this.#clock = clock;
    this.#log = log;
  }

  /** The keys that are known and not too old. */
  get known(): readonly SigningKey[] {
    return this.#clock.now() - this.#fetchedAt < MAX_AGE_MS ? this.#keys : [];
  }

  /** Keys that match, fetched first if none is known to. Never throws: without keys the registry is asked. */
  async find(matches: (key: SigningKey) => boolean): Promise<readonly SigningKey[]> {
    const found = this.known.filter(matches);
    if (found.length > 0) return found;
    await this.#refresh();
    return this.known.filter(matches);
  }

  /** Gives up a fetch that is under way. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  #refresh(): Promise<void> {
    const now = this.#clock.now();
    if (this.#running === undefined && now - this.#triedAt >= MIN_INTERVAL_MS && !this.#stopped.signal.aborted) {
      this.#triedAt = now;
      this.#running = this.#fetch()
        .then((text) => {
          this.#keys = parseJwksLeniently(text).keys;
          this.#fetchedAt = now;
        })
        .catch((error: unknown) => this.#log.warn(this.#failureEvent, { host: this.#url.host, error }))
        .finally(() => {
          this.#running = undefined;
        });
    }
    return this.#running ?? Promise.resolve();
  }

  async #fetch(): Promise<string> {
    const trust = createTrust(this.#caPem);
    const dispatcher = createAgent({ trust, connectTimeoutMs: TIMEOUT_MS, maxConnections: 1 });
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    try {
      const authorization = await this.#authorize?.();
      const answer = await exchange(this.#url, {
        method: 'GET',
        headers: {
          accept: 'application/json',
          'accept-encoding': 'identity',
          'user-agent': 'sealift',
          ...(authorization === undefined ? {} : { authorization }),
        },
        dispatcher,
        headersTimeoutMs: TIMEOUT_MS,
        bodyTimeoutMs: TIMEOUT_MS,
        signal,
      });
      if (answer.statusCode !== 200) {
        // A redirect too: the operator has named the place to trust.
        discard(answer, TIMEOUT_MS);
        throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'no JWKS there', status: answer.statusCode });
      }
      return (await readBody(answer, { maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS, signal })).toString('utf8');
    } finally {
      await dispatcher.destroy();
    }
  }
}
