import type { Clock } from '@sealift/core';

/** After a tracker that does not answer, how long requests pass through without asking it, in ms. */
const TRACKER_PAUSE_MS = 5_000;
/** The same as a multiple of the wait for it: an image of many layers must not wait for each of them. */
const WAIT_PAUSE_FACTOR = 3;

/** Keeps a node from asking a tracker that has just not answered. */
export class TrackerPause {
  readonly #clock: Clock;
  #until = 0;

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  get isOver(): boolean {
    return this.#clock.now() >= this.#until;
  }

  /**
   * A question of the moment `askedAt` (ms) was not answered. A tracker that refuses costs nothing and is asked again soon;
   * one that hangs costs the runtime its patience.
   */
  begin(askedAt: number): void {
    const now = this.#clock.now();
    this.#until = now + Math.max(TRACKER_PAUSE_MS, WAIT_PAUSE_FACTOR * (now - askedAt));
  }
}
