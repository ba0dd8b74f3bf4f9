import type { BlobRef, Clock } from '@sealift/core';

/**
 * How long a proof is good, in ms: a rollout's length. A blob that is deleted from its repository, or a repository that gets
 * another rule, can still be granted so long to whoever holds a token for the repository.
 */
export const PAIR_TTL_MS = 10 * 60_000;

/** Proofs held at most, about 300 bytes each. The least recently used goes first. */
const MAX_PAIRS = 100_000;

/** That a repository holds a blob, as its registry said when somebody with the right to it asked. */
export interface PairProof {
  /** When the registry was asked, in ms. */
  readonly provenAt: number;
  /** Bytes of the blob, if the registry said so. */
  readonly size: number | undefined;
}

/**
 * The (registry, repository, digest) that registries have lately said yes to. What a token cannot say: it names a
 * repository, and without this any token would open every blob whose digest is known.
 */
export class ProvenPairs {
  readonly #proofs = new Map<string, PairProof>();
  readonly #clock: Clock;
  readonly #maxPairs: number;

  constructor({ clock, maxPairs = MAX_PAIRS }: { clock: Clock; maxPairs?: number }) {
    this.#clock = clock;
    this.#maxPairs = maxPairs;
  }

  get(blob: BlobRef): PairProof | undefined {
    const key = pairKey(blob);
    const proof = this.#proofs.get(key);
    this.#proofs.delete(key);
    if (proof === undefined || proof.provenAt + PAIR_TTL_MS <= this.#clock.now()) return undefined;
    this.#proofs.set(key, proof);
    return proof;
  }

  /** Takes the registry's yes. Only the registry's: what was granted on another proof must not prolong it. */
  put(blob: BlobRef, proof: PairProof): void {
    const key = pairKey(blob);
    this.#proofs.delete(key);
    this.#proofs.set(key, proof);
    for (const oldest of this.#proofs.keys()) {
      if (this.#proofs.size <= this.#maxPairs) return;
      this.#proofs.delete(oldest);
    }
  }

  /** The registry no longer knows the blob there. */
  drop(blob: BlobRef): void {
    this.#proofs.delete(pairKey(blob));
  }
}

/** What a proof is about, whoever asks; no part of it holds a space. */
export function pairKey({ registry, repository, digest }: BlobRef): string {
  return `${registry} ${repository} ${digest}`;
}
