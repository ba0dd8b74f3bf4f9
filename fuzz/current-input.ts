/** Longest input of any target, in bytes. */
export const MAX_INPUT_LENGTH = 256 * 1024;
const HEADER_LENGTH = 8;

/**
 * The input that a fuzzing thread works on, in memory that its watchdog shares: a thread that hangs or dies cannot say it
 * any more.
 */
export class CurrentInput {
  readonly memory: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(HEADER_LENGTH + MAX_INPUT_LENGTH)) {
    this.memory = memory;
    this.#header = new Int32Array(memory, 0, 2);
    this.#bytes = new Uint8Array(memory, HEADER_LENGTH);
  }

  /** Counts inputs; the watchdog looks whether it moves. */
  get sequence(): number {
    return Atomics.load(this.#header, 0);
  }

  set(input: Uint8Array): void {
    this.#bytes.set(input);
    Atomics.store(this.#header, 1, input.length);
    Atomics.add(this.#header, 0, 1);
  }

  get(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, Atomics.load(this.#header, 1)));
  }
}
