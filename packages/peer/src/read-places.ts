/**
 * Places for reads from registries. Whoever finds none waits in line, so that a burst of little blobs, each read in a moment,
 * is not sent away for being many.
 */
export class ReadPlaces {
  readonly #maxWaiting: number;
  readonly #waiting = new Set<(isGiven: boolean) => void>();
  #free: number;
  #isClosed = false;

  constructor({ places, maxWaiting }: { places: number; maxWaiting: number }) {
    this.#free = places;
    this.#maxWaiting = maxWaiting;
  }

  /** Takes a place and returns how to give it back, once; `undefined` if none is free within `waitMs`, or too many wait. */
  async take(waitMs: number): Promise<(() => void) | undefined> {
    if (this.#free > 0) this.#free -= 1;
    else if (this.#isClosed || this.#waiting.size >= this.#maxWaiting || !(await this.#wait(waitMs))) return undefined;
    let isTaken = true;
    return () => {
      if (isTaken) this.#give();
      isTaken = false;
    };
  }

  /** Sends all away who wait, and whoever finds no place from now on. */
  close(): void {
    this.#isClosed = true;
    for (const settle of this.#waiting) settle(false);
  }

  #wait(waitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (isGiven: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(settle);
        resolve(isGiven);
      };
      const timer = setTimeout(() => settle(false), waitMs);
      this.#waiting.add(settle);
    });
  }

  #give(): void {
    for (const first of this.#waiting) {
      first(true);
      return;
    }
    this.#free += 1;
  }
}
