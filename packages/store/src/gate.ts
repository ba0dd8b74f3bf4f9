/**
 * Lets at most `limit` jobs run at once; the others wait in order. A waiting job holds nothing but what its caller holds
 * anyway, so the callers' own limits (piece slots, upload buffers) bound the queue.
 */
export class Gate {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#running < this.#limit) this.#running += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      // The place goes straight to the next in line, so that a newcomer cannot slip in between.
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
