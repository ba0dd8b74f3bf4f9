/** Bytes of free buffers of either kind kept for reuse; what is above goes back to the heap. */
const MAX_IDLE_BYTES = 16 * 1024 * 1024;

/** The memory for unverified pieces of all swarms. Nothing is taken beyond the bound: a swarm that gets none waits. */
export class PieceBuffers {
  readonly #maxBytes: number;
  readonly #free = new Map<number, ArrayBuffer[]>();
  readonly #waiting = new Set<() => void>();
  #takenBytes = 0;
  #freeBytes = 0;

  constructor({ maxBytes }: { maxBytes: number }) {
    this.#maxBytes = maxBytes;
  }

  /** Somebody was refused and still waits. */
  get isShort(): boolean {
    return this.#waiting.size > 0;
  }

  /** A buffer of `length` bytes, with old contents; `undefined` beyond the bound, unless `isOwed`. */
  take(length: number, { isOwed }: { isOwed: boolean }): ArrayBuffer | undefined {
    if (this.#takenBytes + length > this.#maxBytes && !isOwed) return undefined;
    this.#takenBytes += length;
    const buffer = this.#free.get(length)?.pop();
    if (buffer === undefined) return new ArrayBuffer(length);
    this.#freeBytes -= length;
    return buffer;
  }

  /** Calls `retry` once when a buffer comes back. */
  wait(retry: () => void): void {
    this.#waiting.add(retry);
  }

  give(buffer: ArrayBuffer): void {
    const length = buffer.byteLength;
    if (this.#freeBytes + length <= MAX_IDLE_BYTES) {
      const free = this.#free.get(length);
      if (free === undefined) this.#free.set(length, [buffer]);
      else free.push(buffer);
      this.#freeBytes += length;
    } else {
      this.#dropOthers(length);
    }
    this.forfeit(length);
  }

  /** A buffer will not come back. */
  forfeit(length: number): void {
    this.#takenBytes -= length;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const retry of waiting) retry();
  }

  /** Free buffers of another length are of no use to the swarm that is busy now. */
  #dropOthers(length: number): void {
    for (const [other, buffers] of this.#free) {
      if (other === length) continue;
      this.#freeBytes -= other * buffers.length;
      this.#free.delete(other);
    }
  }
}

/** The buffers into which blocks are read for sending. Whoever gets none is called, in order, when one comes back. */
export class UploadBuffers {
  readonly #length: number;
  readonly #max: number;
  readonly #free: Buffer[] = [];
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  constructor({ length, max }: { length: number; max: number }) {
    this.#length = length;
    this.#max = max;
  }

  take(): Buffer | undefined {
    if (this.#taken >= this.#max) return undefined;
    this.#taken += 1;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#length);
  }

  wait(retry: () => void): void {
    this.#waiting.add(retry);
  }

  /** Stops waiting. */
  forget(retry: () => void): void {
    this.#waiting.delete(retry);
  }

  give(buffer: Buffer): void {
    if ((this.#free.length + 1) * this.#length <= MAX_IDLE_BYTES) this.#free.push(buffer);
    this.forfeit();
  }

  /** A buffer will not come back: the system may still be reading from it. */
  forfeit(): void {
    this.#taken -= 1;
    for (const retry of this.#waiting) {
      this.#waiting.delete(retry);
      retry();
      return;
    }
  }
}
