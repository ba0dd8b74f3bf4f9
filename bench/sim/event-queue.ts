import type { Clock } from '@sealift/core';

interface Event {
  readonly at: number;
  /** Ties are broken by age, so that a run with the same seed is the same run. */
  readonly order: number;
  readonly run: () => void;
}

/** Gone events before a lane is cut to what is left. */
const MAX_GONE = 4_096;

/** Events of one delay: they come in the order in which they happen. */
interface Lane {
  events: Event[];
  /** Where the next one is. */
  head: number;
}

/**
 * Simulated time: what is to happen, in its order. Its clock stands still while something happens. Most events have one of
 * a few delays, which are given beforehand: these stand in line, and only the others need a heap.
 */
export class EventQueue implements Clock {
  readonly #lanes = new Map<number, Lane>();
  /** A binary heap, the next event in front. */
  readonly #heap: Event[] = [];
  #now = 0;
  #order = 0;

  /** `delays` are those that most events have, in ms. */
  constructor({ delays = [] }: { delays?: readonly number[] } = {}) {
    for (const delay of delays) this.#lanes.set(delay, { events: [], head: 0 });
  }

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
    const lane = this.#lanes.get(delayMs);
    if (lane === undefined) {
      this.at(this.#now + delayMs, run);
      return;
    }
    this.#order += 1;
    lane.events.push({ at: this.#now + delayMs, order: this.#order, run });
  }

  /** Lets the next event happen; `false` if there is none. */
  step(): boolean {
    let next = this.#heap[0];
    let from: Lane | undefined;
    for (const lane of this.#lanes.values()) {
      const event = lane.events[lane.head];
      if (event === undefined || (next !== undefined && isBefore(next, event))) continue;
      next = event;
      from = lane;
    }
    if (next === undefined) return false;
    if (from === undefined) this.#dropFirst();
    else advance(from);
    this.#now = next.at;
    next.run();
    return true;
  }

  #dropFirst(): void {
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) this.#sink(last);
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

function advance(lane: Lane): void {
  lane.head += 1;
  if (lane.head < MAX_GONE && lane.head < lane.events.length) return;
  lane.events = lane.events.slice(lane.head);
  lane.head = 0;
}
