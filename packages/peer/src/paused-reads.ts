import type { Clock, PieceGeometry, SwarmId } from '@sealift/core';
import type { Ingest } from './ingest.ts';
import type { RegistryRead } from './registry-read.ts';

/** Broken reads that wait for fresh credentials, at most; each holds one piece in memory. */
const MAX_PAUSED_READS = 64;
/** How long a broken read waits, in ms. Its pieces cannot be evicted meanwhile; after it, they stay as long as there is room. */
const PAUSED_LIFE_MS = 10 * 60_000;

/** A read that broke; its pieces are on offer, and the next requester's credentials take it further. */
export interface PausedRead {
  readonly read: RegistryRead;
  readonly ingest: Ingest;
  readonly geometry: PieceGeometry;
}

/** Broken reads, bounded in number and time. What falls out is abandoned: the next read starts from what the store holds. */
export class PausedReads {
  readonly #reads = new Map<SwarmId, PausedRead & { readonly since: number }>();
  readonly #clock: Clock;
  readonly #abandon: (swarmId: SwarmId, paused: PausedRead) => void;

  constructor({ clock, abandon }: { clock: Clock; abandon: (swarmId: SwarmId, paused: PausedRead) => void }) {
    this.#clock = clock;
    this.#abandon = abandon;
  }

  get size(): number {
    return this.#reads.size;
  }

  has(swarmId: SwarmId): boolean {
    return this.#reads.has(swarmId);
  }

  /** Keeps a read. It is the caller's no more. */
  put(swarmId: SwarmId, paused: PausedRead): void {
    // In the order of time, which the sweep relies on.
    this.#reads.delete(swarmId);
    this.#reads.set(swarmId, { ...paused, since: this.#clock.now() });
    this.sweep();
  }

  /** Takes a read out; it is the caller's. */
  take(swarmId: SwarmId): PausedRead | undefined {
    this.sweep();
    const paused = this.#reads.get(swarmId);
    this.#reads.delete(swarmId);
    return paused;
  }

  /** Abandons what has waited too long, and the oldest of what is too much. */
  sweep(): void {
    const before = this.#clock.now() - PAUSED_LIFE_MS;
    for (const [swarmId, paused] of this.#reads) {
      if (paused.since > before && this.#reads.size <= MAX_PAUSED_READS) break;
      this.#reads.delete(swarmId);
      this.#abandon(swarmId, paused);
    }
  }

  /** Abandons all. */
  clear(): void {
    for (const [swarmId, paused] of this.#reads) this.#abandon(swarmId, paused);
    this.#reads.clear();
  }
}
