import type { Clock } from '@sealift/core';

/** A clock that stands still until it is told otherwise. */
export class FakeClock implements Clock {
  #now: number;

  /** Starts at `now`, in ms since the epoch. @default 1_800_000_000_000, a day in 2027 */
  constructor(now = 1_800_000_000_000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** Moves time forward by `ms`. */
  advance(ms: number): void {
    this.#now += ms;
  }
}
