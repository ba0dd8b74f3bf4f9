import { hash } from 'node:crypto';
import type { BlobRef, Clock } from '@sealift/core';
import type { Verdict } from './verdict.ts';

/** Longest life of a yes, in ms. How long a right that was taken away at the registry can still be granted. */
export const GRANTED_TTL_MS = 60_000;

/** Life of a no, in ms: long enough to soak up a burst, short enough that a repository made public works at once. */
export const DENIED_TTL_MS = 2_000;

/** Entries held at most, about 200 bytes each. The least recently used goes first. */
const MAX_VERDICTS = 50_000;

/** A verdict's key: credential, registry, repository and digest together; a yes for one says nothing about another. */
export type VerdictKey = string & { readonly __brand: 'VerdictKey' };

/** The key of a verdict. Holds a hash of the credential, so that a memory dump of the cache gives no token away. */
export function verdictKey(blob: BlobRef, authorization: string | undefined): VerdictKey {
  // No registry, repository or digest holds a space, so no two of these lists look the same.
  const credential = authorization === undefined ? 'anonymous' : hash('sha256', authorization, 'base64url');
  return `${credential} ${blob.registry} ${blob.repository} ${blob.digest}` as VerdictKey;
}

/** Verdicts that are still good. Keeps no `unavailable`: an outage must not outlive itself. */
export class VerdictCache {
  readonly #verdicts = new Map<VerdictKey, { verdict: Verdict; until: number }>();
  readonly #clock: Clock;
  readonly #maxVerdicts: number;

  constructor({ clock, maxVerdicts = MAX_VERDICTS }: { clock: Clock; maxVerdicts?: number }) {
    this.#clock = clock;
    this.#maxVerdicts = maxVerdicts;
  }

  get size(): number {
    return this.#verdicts.size;
  }

  get(key: VerdictKey): Verdict | undefined {
    const entry = this.#verdicts.get(key);
    if (entry === undefined) return undefined;
    this.#verdicts.delete(key);
    if (entry.until <= this.#clock.now()) return undefined;
    this.#verdicts.set(key, entry);
    return entry.verdict;
  }

  /** Keeps a verdict for its life, and a yes never beyond `credentialExpiresAt` (ms). */
  put(key: VerdictKey, verdict: Verdict, { credentialExpiresAt }: { credentialExpiresAt: number | undefined }): void {
    const until = this.#endOf(verdict, credentialExpiresAt);
    if (until <= this.#clock.now()) return;
    this.#verdicts.delete(key);
    this.#verdicts.set(key, { verdict, until });
    if (this.#verdicts.size > this.#maxVerdicts) this.#dropOldest();
  }

  #endOf(verdict: Verdict, credentialExpiresAt: number | undefined): number {
    switch (verdict.kind) {
      case 'granted':
        return Math.min(verdict.provenAt + GRANTED_TTL_MS, credentialExpiresAt ?? Number.POSITIVE_INFINITY);
      case 'denied':
        return this.#clock.now() + DENIED_TTL_MS;
      case 'unavailable':
        return Number.NEGATIVE_INFINITY;
    }
  }

  #dropOldest(): void {
    for (const key of this.#verdicts.keys()) {
      this.#verdicts.delete(key);
      return;
    }
  }
}
