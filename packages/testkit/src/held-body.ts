/** Bodies of one blob that come as fast as the test lets them: the control of {@link FakeRegistry.hold}. */
export class HeldBody {
  #allowedBytes = 0;
  readonly #senders = new Map<object, number>();
  readonly #waiting = new Set<() => void>();

  /**
   * Lets all bodies of this blob, running and future ones, go `bytes` further from the start of the blob on. Resolves
   * when each running one has sent that far, has ended or is gone.
   */
  async release(bytes: number): Promise<void> {
    this.#allowedBytes += bytes;
    this.#changed();
    while ([...this.#senders.values()].some((sent) => sent < this.#allowedBytes)) await this.#change();
  }

  /** Lets all bodies run to their end. Does not wait for it. */
  releaseAll(): void {
    this.#allowedBytes = Number.POSITIVE_INFINITY;
    this.#changed();
  }

  /** Resolves when no body of this blob is being sent: all have ended or their clients are gone. */
  async gone(): Promise<void> {
    while (this.#senders.size > 0) await this.#change();
  }

  /** Bodies being sent now. */
  get senderCount(): number {
    return this.#senders.size;
  }

  /** Used by the server: how far the body of `sender`, which stands at `offset`, may go. Waits until that is further. */
  async allowance(sender: object, offset: number): Promise<number> {
    this.#senders.set(sender, offset);
    this.#changed();
    while (this.#allowedBytes <= offset && this.#senders.has(sender)) await this.#change();
    return this.#allowedBytes;
  }

  /** Used by the server: `sender` has ended or its client is gone. */
  remove(sender: object): void {
    if (this.#senders.delete(sender)) this.#changed();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #changed(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}
