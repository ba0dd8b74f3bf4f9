/**
 * Cuts a stream of bytes into lines of text. A line is given whole or, above `maxBytes`, not at all: `onTooLong` decides
 * what becomes of the rest.
 */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #onLine: (line: string) => void;
  readonly #onTooLong: () => void;
  readonly #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(options: { maxBytes: number; onLine: (line: string) => void; onTooLong: () => void }) {
    this.#maxBytes = options.maxBytes;
    this.#onLine = options.onLine;
    this.#onTooLong = options.onTooLong;
  }

  /** Takes the next bytes. */
  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, start)) {
      this.#hold(chunk.subarray(start, end));
      start = end + 1;
      this.flush();
    }
    this.#hold(chunk.subarray(start));
  }

  /** Gives what came after the last line break as a line of its own. */
  flush(): void {
    if (this.#heldBytes === 0) return;
    const line = Buffer.concat(this.#held).toString('utf8');
    this.#drop();
    this.#onLine(line);
  }

  #hold(part: Buffer): void {
    if (part.length === 0) return;
    if (this.#heldBytes + part.length > this.#maxBytes) {
      this.#drop();
      this.#onTooLong();
      return;
    }
    this.#held.push(part);
    this.#heldBytes += part.length;
  }

  #drop(): void {
    this.#held.length = 0;
    this.#heldBytes = 0;
  }
}
