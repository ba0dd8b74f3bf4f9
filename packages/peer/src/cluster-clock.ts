import type { Clock } from '@sealift/core';

/** Differences that are not corrected, in ms: whole seconds in certificates, and the time that an answer takes. */
const NOISE_MS = 10_000;

/**
 * The clock of the cluster's tracker, as far as this host knows it. Certificates and grants carry times of that clock, so
 * they are judged by it, and a host whose own clock is some minutes off takes part all the same.
 */
export class ClusterClock implements Clock {
  readonly #clock: Clock;
  #skewMs = 0;

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now() - this.#skewMs;
  }

  /** How far this host's clock is ahead, in ms; negative if it is behind, 0 for what is no more than noise. */
  get skewMs(): number {
    return this.#skewMs;
  }

  /** Learns that the tracker's clock says `trackerTime` now, in ms. */
  observe(trackerTime: number): void {
    const skewMs = this.#clock.now() - trackerTime;
    this.#skewMs = Math.abs(skewMs) <= NOISE_MS ? 0 : skewMs;
  }
}
