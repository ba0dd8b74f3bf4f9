/** The seeder is told so soon of a piece, in ms: it has others wait for it. */
export const SEEDER_NEWS_PAUSE_MS = 20;
const NEWS_PAUSE_PER_PEER_MS = 6;
const MAX_NEWS_PAUSE_MS = 120;

/**
 * Haves for the others are gathered for so long, in ms: a write costs both ends more than the nine bytes that it carries,
 * and this bounds the writes that news costs us, however many neighbours there are.
 */
export function newsPauseMs(neighbours: number): number {
  return Math.min(Math.max(SEEDER_NEWS_PAUSE_MS, neighbours * NEWS_PAUSE_PER_PEER_MS), MAX_NEWS_PAUSE_MS);
}

/** A signed hash batch and the pieces that it speaks of. */
export interface PieceHashes {
  readonly record: Uint8Array;
  readonly firstIndex: number;
  readonly count: number;
}

/** What one neighbour is told at once. */
export interface News {
  /** Hash batches that it needs for the haves. They leave before them: nobody asks for a piece that cannot be checked. */
  readonly records: readonly Uint8Array[];
  readonly haves: readonly number[];
}

/**
 * What one neighbour is yet to hear. A message costs both ends far more than its bytes, so haves gather, and a hash batch
 * waits for the first have that is of no use without it: most neighbours get it from somebody else by then.
 *
 * Pure, and bounded by the pieces of the blob: each is news once, and each batch is signed news of some.
 */
export class NeighbourNews {
  #haves: number[] = [];
  #batches: PieceHashes[] = [];

  get hasHaves(): boolean {
    return this.#haves.length > 0;
  }

  addHaves(indexes: readonly number[]): void {
    for (const index of indexes) this.#haves.push(index);
  }

  addHashes(batch: PieceHashes): void {
    this.#batches.push(batch);
  }

  /** The neighbour has shown that it knows this batch. */
  dropHashes(record: Uint8Array): void {
    const at = this.#batches.findIndex((batch) => Buffer.compare(batch.record, record) === 0);
    if (at !== -1) this.#batches.splice(at, 1);
  }

  /** Whether it would ask for any of these pieces if it knew of them. */
  isAwaited(peerHas: (index: number) => boolean): boolean {
    return this.#haves.some((index) => !peerHas(index));
  }

  /** Empties the queue of haves. A batch goes with the first of them that the neighbour lacks. */
  take(peerHas: (index: number) => boolean): News {
    const haves = this.#haves;
    this.#haves = [];
    if (this.#batches.length === 0) return { records: [], haves };
    const wanted = haves.filter((index) => !peerHas(index));
    const isNeeded = ({ firstIndex, count }: PieceHashes): boolean =>
      wanted.some((index) => index >= firstIndex && index < firstIndex + count);
    const records = this.#batches.filter(isNeeded).map(({ record }) => record);
    if (records.length > 0) this.#batches = this.#batches.filter((batch) => !isNeeded(batch));
    return { records, haves };
  }
}
