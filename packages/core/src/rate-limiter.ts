import type { Clock } from './clock.ts';

/** How much one key may do: `burst` at once, `perSecond` in the long run. */
export interface RateLimit {
  readonly burst: number;
  readonly perSecond: number;
}

interface Bucket {
  tokens: number;
  updatedAt: number;
}

/**
 * Token buckets by key. Starts no timer: a bucket fills when it is read. Bounded: past `maxKeys` the bucket that was
 * touched longest ago is dropped, which gives that key a full one again, so a flood of keys can weaken the limit of
 * idle keys but never use up memory.
 */
export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>();
  readonly #limit: RateLimit;
  readonly #maxKeys: number;
  readonly #clock: Clock;

  constructor({ limit, maxKeys, clock }: { limit: RateLimit; maxKeys: number; clock: Clock }) {
    this.#limit = limit;
    this.#maxKeys = maxKeys;
    this.#clock = clock;
  }

  /** Whether `key` may act now; if so, the act is counted. */
  take(key: string): boolean {
    const now = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#limit.burst, updatedAt: now };
    const elapsed = Math.max(0, now - bucket.updatedAt);
    bucket.tokens = Math.min(this.#limit.burst, bucket.tokens + (elapsed / 1000) * this.#limit.perSecond);
    bucket.updatedAt = now;
    // Re-inserted, so that the map stays ordered by last use.
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#maxKeys) this.#dropOldest();
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  /** What `key` took last is not to count after all. */
  giveBack(key: string): void {
    const bucket = this.#buckets.get(key);
    // A bucket that is gone meanwhile comes back full.
    if (bucket !== undefined) bucket.tokens = Math.min(this.#limit.burst, bucket.tokens + 1);
  }

  get size(): number {
    return this.#buckets.size;
  }

  #dropOldest(): void {
    for (const key of this.#buckets.keys()) {
      this.#buckets.delete(key);
      return;
    }
  }
}
