import type { Random } from './random.ts';

const ABSENT = -1;

/**
 * Pieces in order of availability, the rarest first, in random order where equally rare.
 *
 * One array holds the candidates, cut into buckets by availability, so a piece moves to the next bucket by one swap
 * with the bucket's edge instead of a sort (the way libtorrent does it).
 */
export class CandidateOrder {
  readonly #availability: Uint16Array;
  readonly #order: Uint32Array;
  readonly #position: Int32Array;
  /** `#ends[a]` is where the bucket of availability `a` ends; it starts where the one below ends. */
  readonly #ends: number[] = [0];
  readonly #random: Random;

  constructor({ pieceCount, random }: { pieceCount: number; random: Random }) {
    this.#availability = new Uint16Array(pieceCount);
    this.#order = new Uint32Array(pieceCount);
    this.#position = new Int32Array(pieceCount).fill(ABSENT);
    this.#random = random;
  }

  get size(): number {
    return this.#ends.at(-1) ?? 0;
  }

  has(index: number): boolean {
    return (this.#position[index] ?? ABSENT) !== ABSENT;
  }

  /** The first candidate that fits, the rarest first. */
  find(fits: (index: number) => boolean): number | undefined {
    const { size } = this;
    for (let position = 0; position < size; position += 1) {
      const index = this.#order[position] as number;
      if (fits(index)) return index;
    }
    return undefined;
  }

  /** Adds a candidate; `false` if it is one already. */
  insert(index: number): boolean {
    if (this.has(index)) return false;
    const bucket = this.#availability[index] ?? 0;
    this.#growTo(bucket);
    // Each higher bucket moves its first piece to its end and so makes room for one more below it.
    let hole = this.size;
    for (let above = this.#ends.length - 1; above > bucket; above -= 1) {
      const start = this.#startOf(above);
      if (start !== hole) this.#place(this.#order[start] as number, hole);
      hole = start;
      this.#ends[above] = (this.#ends[above] as number) + 1;
    }
    this.#ends[bucket] = (this.#ends[bucket] as number) + 1;
    this.#place(index, hole);
    this.#shuffleInto(hole, bucket);
    return true;
  }

  /** Takes a candidate out; `false` if it is none. */
  remove(index: number): boolean {
    if (!this.has(index)) return false;
    const bucket = this.#availability[index] ?? 0;
    let hole = this.#position[index] as number;
    for (let above = bucket; above < this.#ends.length; above += 1) {
      const last = (this.#ends[above] as number) - 1;
      // An empty bucket has its end where the hole is, nothing to move.
      if (last > hole || above === bucket) {
        if (last !== hole) this.#place(this.#order[last] as number, hole);
        hole = last;
      }
      this.#ends[above] = (this.#ends[above] as number) - 1;
    }
    this.#position[index] = ABSENT;
    return true;
  }

  /** One more peer has the piece. */
  raise(index: number): void {
    const bucket = this.#availability[index] ?? 0;
    this.#availability[index] = bucket + 1;
    if (!this.has(index)) return;
    this.#growTo(bucket + 1);
    const last = (this.#ends[bucket] as number) - 1;
    this.#swap(this.#position[index] as number, last);
    this.#ends[bucket] = last;
    this.#shuffleInto(last, bucket + 1);
  }

  /** One peer less has the piece. */
  lower(index: number): void {
    const bucket = this.#availability[index] ?? 0;
    if (bucket === 0) return;
    this.#availability[index] = bucket - 1;
    if (!this.has(index)) return;
    const first = this.#startOf(bucket);
    this.#swap(this.#position[index] as number, first);
    this.#ends[bucket - 1] = first + 1;
    this.#shuffleInto(first, bucket - 1);
  }

  #startOf(bucket: number): number {
    return bucket === 0 ? 0 : (this.#ends[bucket - 1] as number);
  }

  #growTo(bucket: number): void {
    while (this.#ends.length <= bucket) this.#ends.push(this.size);
  }

  #place(index: number, position: number): void {
    this.#order[position] = index;
    this.#position[index] = position;
  }

  #swap(a: number, b: number): void {
    const first = this.#order[a] as number;
    this.#place(this.#order[b] as number, a);
    this.#place(first, b);
  }

  #shuffleInto(position: number, bucket: number): void {
    const start = this.#startOf(bucket);
    const size = (this.#ends[bucket] as number) - start;
    this.#swap(position, start + Math.floor(this.#random() * size));
  }
}
