import type { FileHandle } from 'node:fs/promises';

/** Bytes read at once. */
const CHUNK_BYTES = 64 * 1024;
/** Longest line, in bytes: those that we write have a few hundred. */
const MAX_LINE_BYTES = 64 * 1024;
const LINE_FEED = 0x0a;

/**
 * The lines of a file of any size, one after the other: what it holds is bounded by one chunk and one line. A line that is
 * too long is left out and counted. What stands behind the last line feed is not a line yet.
 */
export class LineReader {
  readonly #file: FileHandle;
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  #position = 0;
  #rest = Buffer.alloc(0);
  #isSkipping = false;

  /** Lines left out. */
  skipped = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** The lines up to the present end of the file; call it again for those that came since. */
  async *lines(): AsyncGenerator<string> {
    for (;;) {
      const { bytesRead } = await this.#file.read(this.#chunk, 0, CHUNK_BYTES, this.#position);
      if (bytesRead === 0) return;
      this.#position += bytesRead;
      yield* this.#split(this.#chunk.subarray(0, bytesRead));
    }
  }

  *#split(chunk: Buffer): Generator<string> {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      const line = Buffer.concat([this.#rest, chunk.subarray(start, end)]);
      start = end + 1;
      this.#rest = Buffer.alloc(0);
      if (this.#isSkipping) this.#isSkipping = false;
      else yield line.toString('utf8');
    }
    if (this.#isSkipping) return;
    // A copy, because the chunk is read into again.
    this.#rest = Buffer.concat([this.#rest, chunk.subarray(start)]);
    if (this.#rest.length <= MAX_LINE_BYTES) return;
    this.#rest = Buffer.alloc(0);
    this.#isSkipping = true;
    this.skipped += 1;
  }
}
