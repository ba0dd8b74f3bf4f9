import { type ContentVerifier, HashList, openHashBatch } from '@sealift/bittorrent';
import { type ClusterId, isAppError, swarmIdOf } from '@sealift/core';
import type { BlobDescription, InspectedHashes, InspectHashes } from '@sealift/store';

/** Reads the signed hash lists of a store, and counts what their signatures prove. */
export class HashInspector {
  readonly #clusterId: ClusterId | undefined;
  readonly #verifier: ContentVerifier;
  #signed = 0;
  #ofOtherKeys = 0;

  /** A node keeps neither key nor cluster, so there only form and agreement of the lists can be judged. */
  constructor(tracker?: {
    readonly clusterId: ClusterId;
    readonly content: { readonly keyId: Buffer; readonly verifier: ContentVerifier };
  }) {
    this.#clusterId = tracker?.clusterId;
    this.#verifier = {
      verify: (keyId, bytes, signature) => {
        if (tracker?.content.keyId.equals(keyId) !== true) {
          // Of a key that is no more, or that is not known here. Peers ignore the former, and it is no damage.
          this.#ofOtherKeys += 1;
          return true;
        }
        const isSigned = tracker.content.verifier.verify(keyId, bytes, signature);
        this.#signed += isSigned ? 1 : 0;
        return isSigned;
      },
    };
  }

  /** Records whose signature was checked and is right. */
  get signed(): number {
    return this.#signed;
  }

  /** Records signed with a key that is not known here. */
  get ofOtherKeys(): number {
    return this.#ofOtherKeys;
  }

  readonly inspect: InspectHashes = (blob, records) => {
    const problems = [...this.#problemsOf(blob)];
    try {
      const list = new HashList(blob);
      for (const [at, record] of records.entries()) {
        try {
          list.add(openHashBatch(record, this.#verifier));
        } catch (error) {
          if (!isAppError(error)) throw error;
          problems.push(`record ${at} of the hash list: ${error.message}`);
        }
      }
      return { problems, hashOf: (index) => list.hashOf(index) };
    } catch (error) {
      if (!isAppError(error)) throw error;
      return { problems: [...problems, error.message], hashOf: () => undefined } satisfies InspectedHashes;
    }
  };

  #problemsOf({ swarmId, registry, digest }: BlobDescription): readonly string[] {
    if (this.#clusterId === undefined || swarmIdOf(this.#clusterId, registry, digest) === swarmId) return [];
    return ['of another cluster, or not the blob that meta.json names'];
  }
}
