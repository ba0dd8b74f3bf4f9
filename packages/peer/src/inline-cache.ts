import type { SwarmId } from '@sealift/core';

/** Small blobs by swarm, in memory, bounded in bytes; the least recently used goes first. */
export class InlineCache {
  readonly #blobs = new Map<SwarmId, Buffer>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor({ maxBytes }: { maxBytes: number }) {
    this.#maxBytes = maxBytes;
  }

  get(swarmId: SwarmId): Buffer | undefined {
    const blob = this.#blobs.get(swarmId);
    if (blob !== undefined) {
      this.#blobs.delete(swarmId);
      this.#blobs.set(swarmId, blob);
    }
    return blob;
  }

  set(swarmId: SwarmId, blob: Buffer): void {
    this.#drop(swarmId);
    if (blob.length > this.#maxBytes) return;
    this.#blobs.set(swarmId, blob);
    this.#bytes += blob.length;
    for (const oldest of this.#blobs.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest);
    }
  }

  #drop(swarmId: SwarmId): void {
    this.#bytes -= this.#blobs.get(swarmId)?.length ?? 0;
    this.#blobs.delete(swarmId);
  }
}
