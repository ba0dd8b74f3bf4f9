import { type Clock, isAppError, type RegistryHost } from '@sealift/core';
import { BASE_PATH, type TokenProber } from './token-proof.ts';

/** How long a name that was heard is believed, in ms. Registries keep theirs for good. */
const MAX_AGE_MS = 3_600_000;
/** Least time between two questions, in ms: a registry without token authentication never says a name. */
const MIN_INTERVAL_MS = 30_000;
/** Longest wait for it, in ms: a join waits for it, once. */
const TIMEOUT_MS = 5_000;

/** What a registry calls itself in its challenge, and so in `aud` of its tokens. Asked for over verified HTTPS. */
export class ServiceName {
  readonly #registry: RegistryHost;
  readonly #prober: TokenProber;
  readonly #clock: Clock;
  #name: string | undefined;
  #heardAt = Number.NEGATIVE_INFINITY;
  #askedAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;

  constructor({ registry, prober, clock }: { registry: RegistryHost; prober: TokenProber; clock: Clock }) {
    this.#registry = registry;
    this.#prober = prober;
    this.#clock = clock;
  }

  /** The name; `undefined` if the registry has not said one lately. Never throws. */
  async get({ signal }: { signal: AbortSignal }): Promise<string | undefined> {
    const now = this.#clock.now();
    if (now - this.#heardAt < MAX_AGE_MS) return this.#name;
    if (this.#running === undefined && now - this.#askedAt >= MIN_INTERVAL_MS && !signal.aborted) {
      this.#askedAt = now;
      this.#running = this.#ask(signal).finally(() => {
        this.#running = undefined;
      });
    }
    await this.#running;
    return this.#clock.now() - this.#heardAt < MAX_AGE_MS ? this.#name : undefined;
  }

  async #ask(stopped: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([stopped, AbortSignal.timeout(TIMEOUT_MS)]);
    try {
      const target = { registry: this.#registry, path: BASE_PATH };
      const { status, service } = await this.#prober.probe(target, { authorization: undefined, signal });
      if (status !== 401 || service === undefined) return;
      this.#name = service;
      this.#heardAt = this.#clock.now();
    } catch (error) {
      // Without a name no token is judged here, and the registry is asked instead.
      if (!isAppError(error) && !signal.aborted) throw error;
    }
  }
}
