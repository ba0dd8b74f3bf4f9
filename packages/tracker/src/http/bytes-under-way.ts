import type { ServerResponse } from 'node:http';

/** The bytes of answers that have not left yet, of all answers of one kind together. */
export class BytesUnderWay {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor({ maxBytes }: { maxBytes: number }) {
    this.#maxBytes = maxBytes;
  }

  /** Counts `bytes` until the response is over; `false` if there are too many already. */
  admit(response: Pick<ServerResponse, 'closed' | 'once'>, bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false;
    // The caller may have gone while its right was asked for. Such a response closes no second time, and would count for ever.
    if (response.closed) return true;
    this.#bytes += bytes;
    response.once('close', () => {
      this.#bytes -= bytes;
    });
    return true;
  }
}
