import type { Clock } from '@sealift/core';
import type { SigningKey } from './signing-key.ts';

/** How long a proof is good, in ms. A key that the registry has given up without our noticing is believed so long. */
const LIFE_MS = 3_600_000;
/** Keys of one registry at most: an issuer signs with one, with two while it changes them. The oldest proof goes first. */
const MAX_KEYS = 8;

/** The keys of one registry that were taken from tokens it has proven. */
export class PinnedKeys {
  readonly #provenAt = new Map<string, { readonly key: SigningKey; readonly at: number }>();
  readonly #clock: Clock;

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  /** The keys whose proof still holds. */
  get keys(): readonly SigningKey[] {
    const oldest = this.#clock.now() - LIFE_MS;
    return [...this.#provenAt.values()].filter(({ at }) => at > oldest).map(({ key }) => key);
  }

  has({ fingerprint }: SigningKey): boolean {
    return this.#clock.now() - this.#timeOf(fingerprint) < LIFE_MS;
  }

  /** Whether its proof will hold for a good while, so that another would tell nothing new. */
  isFresh({ fingerprint }: SigningKey): boolean {
    return this.#clock.now() - this.#timeOf(fingerprint) < LIFE_MS / 2;
  }

  /** Takes a key that was proven at `at` (ms). */
  pin(key: SigningKey, at: number): void {
    this.#provenAt.delete(key.fingerprint);
    this.#provenAt.set(key.fingerprint, { key, at });
    for (const oldest of this.#provenAt.keys()) {
      if (this.#provenAt.size <= MAX_KEYS) return;
      this.#provenAt.delete(oldest);
    }
  }

  /** Forgets a key; `true` if it was there. */
  drop({ fingerprint }: SigningKey): boolean {
    return this.#provenAt.delete(fingerprint);
  }

  #timeOf(fingerprint: string): number {
    return this.#provenAt.get(fingerprint)?.at ?? Number.NEGATIVE_INFINITY;
  }
}
