import type { Clock } from '@sealift/core';

/** A run of at least this long, in ms, counts as quiet: what comes after it is a first fault again. */
const QUIET_MS = 60_000;
/** Pause before the second restart in a row, in ms; doubles from then on. The first restart waits for nothing. */
const MIN_PAUSE_MS = 250;
/** Longest pause, in ms: a start costs a second of CPU, and an engine that works again should be back soon. */
const MAX_PAUSE_MS = 8_000;

/** How long to wait before what has ended is started again. Reads the clock, sets no timer. */
export class RestartPolicy {
  readonly #clock: Clock;
  readonly #random: () => number;
  #startedAt = 0;
  #faults = 0;

  constructor({ clock, random }: { clock: Clock; random: () => number }) {
    this.#clock = clock;
    this.#random = random;
  }

  /** A run begins now. */
  started(): void {
    this.#startedAt = this.#clock.now();
  }

  /** The run has ended; returns the pause in ms, with up to a quarter less by chance so that nodes do not move in step. */
  ended(): number {
    if (this.#clock.now() - this.#startedAt >= QUIET_MS) this.#faults = 0;
    this.#faults += 1;
    if (this.#faults === 1) return 0;
    const pauseMs = Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** (this.#faults - 2));
    return Math.round(pauseMs * (1 - this.#random() / 4));
  }
}
