import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { AppError } from '@sealift/core';
import { retryAfterOf } from '@sealift/registry';
import type { BlobBody } from './registry-read.ts';

/** How large blobs are read over several connections: registries and their CDNs commonly limit each one's rate. */
export interface RangeLimits {
  /** Blobs of which less is left are read over one connection, in bytes. */
  readonly minBytes: number;
  /** Bytes of one request. Each connection beside the first holds up to so many in memory. */
  readonly segmentBytes: number;
  /** Connections for one blob, the first included. */
  readonly perBlob: number;
  /** Connections beside the first ones of all blobs together. */
  readonly inAll: number;
}

/** Four connections at 20 MB/s each fill most of a gigabit link; all together hold 96 MiB at most. */
export const DEFAULT_RANGE_LIMITS: RangeLimits = Object.freeze({
  minBytes: 64 * 1024 * 1024,
  segmentBytes: 8 * 1024 * 1024,
  perBlob: 4,
  inAll: 12,
});

/** The places for further connections, which all reads share. */
export class RangeLanes {
  #free: number;

  constructor({ inAll }: Pick<RangeLimits, 'inAll'>) {
    this.#free = inAll;
  }

  /** Takes a place; `false` if there is none. */
  take(): boolean {
    if (this.#free === 0) return false;
    this.#free -= 1;
    return true;
  }

  /** Gives a place back. */
  release(): void {
    this.#free += 1;
  }
}

/** Opens bytes `start` to `end`, exclusive. */
type OpenRange = (range: { start: number; end: number }, options: { signal: AbortSignal }) => Promise<BlobBody>;

interface RangesOptions {
  /** The first segment, which is being sent already. */
  readonly first: BlobBody & { readonly end: number };
  /** Bytes of the whole blob. */
  readonly size: number;
  readonly open: OpenRange;
  readonly limits: RangeLimits;
  readonly lanes: RangeLanes;
  /** Longest wait that the registry gets when it asks for one, in ms. */
  readonly maxRetryAfterMs: number;
}

/**
 * All of a blob from where `first` begins, as one body in order; further ranges are fetched ahead of the reader. Once the
 * registry does not take the further connections, the rest comes over one. Each byte is asked for once, what breaks excepted.
 */
export function joinRanges(options: RangesOptions): BlobBody {
  const { first, size } = options;
  const body = Readable.from(readInOrder(options), { objectMode: false });
  // Whoever reads sees the error; one that comes before the first read must not end the process.
  body.on('error', () => {});
  // A generator that was never begun runs none of its `finally`.
  body.once('close', () => first.body.destroy());
  return { size, offset: first.offset, end: size, body };
}

async function* readInOrder({
  first,
  size,
  open,
  limits,
  lanes,
  maxRetryAfterMs,
}: RangesOptions): AsyncGenerator<Uint8Array> {
  const ended = new AbortController();
  const { signal } = ended;
  const ahead: Segment[] = [];
  let position = first.offset;
  let isAlone = false;
  const askAhead = (from: number): void => {
    let start = ahead.at(-1)?.end ?? from;
    while (!isAlone && ahead.length < limits.perBlob - 1 && start < size && lanes.take()) {
      const end = Math.min(size, start + limits.segmentBytes);
      ahead.push(new Segment(end, open({ start, end }, { signal })));
      start = end;
    }
  };
  try {
    askAhead(first.end);
    for await (const chunk of first.body) {
      position += chunk.length;
      yield chunk;
    }
    if (position !== first.end) throw endedEarly();
    while (position < size) {
      const segment = ahead.shift();
      if (segment === undefined) {
        const end = isAlone ? size : Math.min(size, position + limits.segmentBytes);
        const { body } = await open({ start: position, end }, { signal });
        askAhead(end);
        for await (const chunk of body) {
          position += chunk.length;
          yield chunk as Uint8Array;
        }
        if (position !== end) throw endedEarly();
        continue;
      }
      try {
        for await (const chunk of segment.chunks()) {
          position += chunk.length;
          yield chunk;
        }
      } catch (error) {
        if (signal.aborted) throw error;
        isAlone = true;
        const end = ahead[0] === undefined ? size : segment.end;
        await delay(Math.min(retryAfterOf(error) ?? 0, maxRetryAfterMs), undefined, { signal });
        const { body } = await open({ start: position, end }, { signal });
        for await (const chunk of body) {
          position += chunk.length;
          yield chunk as Uint8Array;
        }
        if (position !== end) throw endedEarly();
      } finally {
        lanes.release();
      }
      askAhead(position);
    }
  } finally {
    ended.abort(endedEarly());
    first.body.destroy();
    for (const _ of ahead) lanes.release();
  }
}

/** One range on its way, which comes as fast as it can and waits in memory for its turn. */
class Segment {
  readonly end: number;
  readonly #chunks: Uint8Array[] = [];
  #state: { readonly error: unknown } | 'open' | 'ended' = 'open';
  #wake: (() => void) | undefined;

  constructor(end: number, opening: Promise<BlobBody>) {
    this.end = end;
    void this.#fetch(opening);
  }

  /** What has come and what comes, to the end; throws what ended it before. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#state === 'ended') return;
      else if (this.#state !== 'open') throw this.#state.error;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  async #fetch(opening: Promise<BlobBody>): Promise<void> {
    try {
      const { body } = await opening;
      for await (const chunk of body) {
        this.#chunks.push(chunk as Uint8Array);
        this.#wake?.();
      }
      this.#state = 'ended';
    } catch (error) {
      this.#state = { error };
    }
    this.#wake?.();
  }
}

function endedEarly(): AppError {
  return new AppError('REGISTRY_UNAVAILABLE', { reason: 'it closed before the end of the range' });
}
