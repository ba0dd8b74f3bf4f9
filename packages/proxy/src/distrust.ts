import type { Clock, RegistryHost } from '@sealift/core';

/** How OpenSSL tells that the client has refused our certificate (TLS 1.3, RFC 8446 §6.2). Its prefix depends on the version. */
const REFUSED = /_ALERT_(?:BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN)$/;

/**
 * The registries for which a client has just refused our certificate. A runtime reads its trust files at the beginning of a
 * pull, so one that goes on while a node is started anew knows the intercept CA of before, and would fail with all its
 * tries. Through a tunnel it talks to the registry itself, as without us. Starts no timer.
 */
export class Distrust {
  readonly #clock: Clock;
  readonly #durationMs: number;
  /** When it ends, in ms; as many entries as there are registries. */
  readonly #until = new Map<RegistryHost, number>();

  constructor({ clock, durationMs }: { clock: Clock; durationMs: number }) {
    this.#clock = clock;
    this.#durationMs = durationMs;
  }

  /** A connection in the name of `registry` has failed; returns whether this is news of a client that does not trust us. */
  failed(registry: RegistryHost, error: Error): boolean {
    if (!REFUSED.test((error as NodeJS.ErrnoException).code ?? '')) return false;
    const isNews = !this.has(registry);
    this.begin(registry);
    return isNews;
  }

  /** A client is known not to trust us in the name of `registry`. */
  begin(registry: RegistryHost): void {
    this.#until.set(registry, this.#clock.now() + this.#durationMs);
  }

  /** Whether to leave clients alone with this registry now. */
  has(registry: RegistryHost): boolean {
    return (this.#until.get(registry) ?? 0) > this.#clock.now();
  }
}
