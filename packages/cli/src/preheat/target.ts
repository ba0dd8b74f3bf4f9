import type { BlobRef } from '@sealift/core';
import type { ImageBlob } from './image-content.ts';

/** Where an image is brought to: the seeder of a cluster, or a node. */
export interface PreheatTarget {
  /** `seeder`, or the address of a node. */
  readonly name: string;
  /** Brings a manifest there and gives its bytes, **not verified**; `undefined` where it cannot be kept there. */
  manifest(ref: BlobRef, options: { signal: AbortSignal }): Promise<Uint8Array | undefined>;
  /**
   * Brings a blob there, and tells how many of its bytes are. Throws `PREHEAT_INCOMPLETE` when it does not get there, and
   * `REGISTRY_REFUSED` when the registry says no.
   */
  blob(
    ref: BlobRef,
    blob: ImageBlob,
    options: { signal: AbortSignal; onProgress: (bytes: number) => void },
  ): Promise<void>;
}
