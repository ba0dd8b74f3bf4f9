import type { Clock } from '@sealift/core';

/**
 * A rate as credit: it grows with the clock up to the burst, and whoever acts while there is some may take more than there
 * is. The debt delays the next, so that over time the rate is kept to the byte whatever the sizes are. Pure.
 */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  readonly #burstBytes: number;
  #credit: number;
  #countedAt: number;

  /** Starts full. */
  constructor({
    clock,
    bytesPerSecond,
    burstBytes,
  }: {
    clock: Clock;
    bytesPerSecond: number;
    /** Credit kept at most: what may go out at once after a pause. */
    burstBytes: number;
  }) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#burstBytes = burstBytes;
    this.#credit = burstBytes;
    this.#countedAt = clock.now();
  }

  /** Something may be taken now. */
  get isOpen(): boolean {
    this.#count();
    return this.#credit > 0;
  }

  /** Until {@link isOpen}, in ms, rounded up. */
  get msUntilOpen(): number {
    this.#count();
    return this.#credit > 0 ? 0 : Math.floor(-this.#credit / this.#bytesPerMs) + 1;
  }

  take(bytes: number): void {
    this.#count();
    this.#credit -= bytes;
  }

  /** Gives back what was taken and did not come to pass. */
  giveBack(bytes: number): void {
    this.#count();
    this.#credit = Math.min(this.#burstBytes, this.#credit + bytes);
  }

  #count(): void {
    const now = this.#clock.now();
    // A clock that is set back gives no credit and takes none.
    const passedMs = Math.max(0, now - this.#countedAt);
    this.#countedAt = now;
    this.#credit = Math.min(this.#burstBytes, this.#credit + passedMs * this.#bytesPerMs);
  }
}
