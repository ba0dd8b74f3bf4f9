import type { BlobRef, RegistryHost, Repository } from './blob.ts';
import type { Digest } from './digest.ts';

/** An operator's word that rights count no more, unless the registry has proven them anew since. */
export interface Revocation {
  readonly registry: RegistryHost;
  readonly repository: Repository;
  /** This blob only; every blob of the repository where it is absent. */
  readonly digest?: Digest;
  /** Rights that were proven before this moment are worth nothing. In ms, of whole seconds as the times in grants. */
  readonly provenBefore: number;
}

/** A right and when the registry proved it, in ms; the claims of a grant by shape. */
export interface ProvenRight extends BlobRef {
  readonly authTime: number;
}

/** The revocations that count, made once and asked often. */
export class Revocations {
  readonly #provenBefore = new Map<string, number>();

  constructor(revocations: readonly Revocation[] = []) {
    for (const { registry, repository, digest, provenBefore } of revocations) {
      const key = keyOf(registry, repository, digest);
      this.#provenBefore.set(key, Math.max(provenBefore, this.#provenBefore.get(key) ?? 0));
    }
  }

  /** Whether the right is worth nothing any more. */
  covers({ registry, repository, digest, authTime }: ProvenRight): boolean {
    if (this.#provenBefore.size === 0) return false;
    const ofBlob = this.#provenBefore.get(keyOf(registry, repository, digest)) ?? 0;
    const ofRepository = this.#provenBefore.get(keyOf(registry, repository, undefined)) ?? 0;
    return authTime < Math.max(ofBlob, ofRepository);
  }
}

/** No part of it holds a space. */
function keyOf(registry: RegistryHost, repository: Repository, digest: Digest | undefined): string {
  return `${registry} ${repository} ${digest ?? ''}`;
}
