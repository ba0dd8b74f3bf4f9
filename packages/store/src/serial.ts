/** Runs jobs one after the other, in the order in which they were asked for. A failed job does not stop the next. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job, job);
    // The caller handles the failure; here it only ends the turn.
    this.#last = result.catch(() => {});
    return result;
  }
}
