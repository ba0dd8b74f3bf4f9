import type { BlobRef } from '@sealift/core';
import { pairKey } from '../right/proven-pairs.ts';

/** A manifest that matches its digest, and what the registry called it. */
export interface Manifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

/** What an entry costs beside its bytes, roughly: key, objects, map. */
const ENTRY_BYTES = 1_024;

/**
 * Manifests in memory, bounded in bytes; the least recently used goes first. The key has the repository in it: equal bytes
 * may stand in another one under another media type, and a media type decides how a manifest is read.
 */
export class ManifestCache {
  readonly #manifests = new Map<string, Manifest>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor({ maxBytes }: { maxBytes: number }) {
    this.#maxBytes = maxBytes;
  }

  /** `undefined` for what is not here, which says nothing about the registry. The caller has checked the right. */
  get(ref: BlobRef): Manifest | undefined {
    const key = pairKey(ref);
    const manifest = this.#manifests.get(key);
    if (manifest === undefined) return undefined;
    this.#manifests.delete(key);
    this.#manifests.set(key, manifest);
    return manifest;
  }

  /** Takes a manifest that was compared with its digest. */
  put(ref: BlobRef, manifest: Manifest): void {
    const key = pairKey(ref);
    this.#drop(key);
    this.#manifests.set(key, manifest);
    this.#bytes += costOf(manifest);
    for (const oldest of this.#manifests.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest);
    }
  }

  #drop(key: string): void {
    const manifest = this.#manifests.get(key);
    if (manifest === undefined) return;
    this.#manifests.delete(key);
    this.#bytes -= costOf(manifest);
  }
}

function costOf({ bytes }: Manifest): number {
  return bytes.length + ENTRY_BYTES;
}
