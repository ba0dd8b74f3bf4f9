import type { Clock } from '@sealift/core';

interface Event {
  readonly at: number;
  /** Ties are broken by age, so that a run with the same seed is the same run. */
  readonly order: number;
  readonly run: () => void;
}

/** Simulated time: what is to happen, in its order. Its clock stands still while something happens. */
export class EventQueue implements Clock {
  /** A binary heap, the next event in front. */
  readonly #heap: Event[] = [];
  #now = 0;
  #order = 0;

  /** In ms since the start. */
  now(): number {
    return this.#now;
  }

  /** Lets `run` happen at `at`, in ms; at once, but after what is due already, where that time is over. */
  at(at: number, run: () => void): void {
    this.#order += 1;
    const heap = this.#heap;
    const event: Event = { at: Math.max(at, this.#now), order: this.#order, run };
    let hole = heap.length;
    heap.push(event);
    while (hole > 0) {
      const above = (hole - 1) >> 1;
      const parent = heap[above] as Event;
      if (!isBefore(event, parent)) break;
      heap[hole] = parent;
      hole = above;
    }
    heap[hole] = event;
  }

  /** Lets `run` happen in `delayMs`. */
  after(delayMs: number, run: () => void): void {
    this.at(this.#now + delayMs, run);
  }

  /** Lets the next event happen; `false` if there is none. */
  step(): boolean {
    const heap = this.#heap;
    const next = heap[0];
    const last = heap.pop();
    if (next === undefined || last === undefined) return false;
    if (heap.length > 0) this.#sink(last);
    this.#now = next.at;
    next.run();
    return true;
  }

  #sink(event: Event): void {
    const heap = this.#heap;
    let hole = 0;
    for (;;) {
      const left = 2 * hole + 1;
      const right = left + 1;
      if (left >= heap.length) break;
      const isRightNext = right < heap.length && isBefore(heap[right] as Event, heap[left] as Event);
      const child = isRightNext ? right : left;
      if (!isBefore(heap[child] as Event, event)) break;
      heap[hole] = heap[child] as Event;
      hole = child;
    }
    heap[hole] = event;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
