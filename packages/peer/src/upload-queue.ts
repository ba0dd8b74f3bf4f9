import { type BlockRange, PIECE_HEADER_LENGTH, writePieceHeader } from '@sealift/bittorrent';
import { BLOCK_LENGTH, type PieceGeometry } from '@sealift/core';
import type { UploadBuffers } from './buffer-pools.ts';
import type { Pacer } from './pacer.ts';

/** Blocks are read to multiples of so many bytes: the kernel copies badly to odd addresses. */
const ALIGNMENT = 16;

/** Bytes of a buffer that holds a batch of `batchBytes` with a header before each block. */
export function uploadBufferLength(batchBytes: number): number {
  return startOf(batchBytes / BLOCK_LENGTH) + batchBytes;
}

/** Where the bytes of so many blocks are read to: behind room for all their headers. */
function startOf(blocks: number): number {
  return Math.ceil((blocks * PIECE_HEADER_LENGTH) / ALIGNMENT) * ALIGNMENT;
}

interface Batch {
  readonly blocks: readonly BlockRange[];
  readonly buffer: Buffer;
  /** The finished frames; `undefined` while being read, empty if that failed. */
  frames: Buffer | undefined;
}

/** What the queue does with the outside world. */
export interface UploadSink {
  /** Fills `into` with verified bytes of the blob; rejects if they are gone. */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Sends frames; calls `done` when the bytes may be overwritten. */
  write(frames: Buffer, done: () => void): void;
  /** The blocks are on their way. */
  sent(blocks: readonly BlockRange[]): void;
  /** The blocks cannot be had after all. */
  failed(blocks: readonly BlockRange[]): void;
}

/**
 * Serves one peer: joins requests that follow one another into batches, reads each batch in one go and writes it in one
 * go, in the order of the requests. A few batches are in flight; the socket's own callback gives their buffers back, and
 * that is the backpressure.
 */
export class UploadQueue {
  readonly #geometry: PieceGeometry;
  readonly #buffers: UploadBuffers;
  readonly #pacer: Pacer;
  readonly #batchBytes: number;
  readonly #maxBatches: number;
  readonly #sink: UploadSink;
  #queue: BlockRange[] = [];
  readonly #reading: Batch[] = [];
  #inFlight = 0;
  #isWriting = false;
  #isClosed = false;
  readonly #retry = (): void => this.#pump();

  constructor({
    geometry,
    buffers,
    pacer,
    batchBytes,
    maxBatches,
    sink,
  }: {
    geometry: PieceGeometry;
    buffers: UploadBuffers;
    /** The upload limit that all queues of the engine share. */
    pacer: Pacer;
    batchBytes: number;
    maxBatches: number;
    sink: UploadSink;
  }) {
    this.#geometry = geometry;
    this.#buffers = buffers;
    this.#pacer = pacer;
    this.#batchBytes = Math.min(batchBytes, pacer.turnBytes);
    this.#maxBatches = maxBatches;
    this.#sink = sink;
  }

  /** Queues a block; the session has bounded how many. */
  push(block: BlockRange): void {
    this.#queue.push(block);
    // One look for all requests that came in one chunk, so that they can be joined.
    if (this.#queue.length === 1) setImmediate(this.#retry);
  }

  /** Takes a block back that is not being read yet; `false` if it is too late. */
  cancel({ index, begin, length }: BlockRange): boolean {
    const at = this.#queue.findIndex(
      (block) => block.index === index && block.begin === begin && block.length === length,
    );
    if (at === -1) return false;
    this.#queue.splice(at, 1);
    return true;
  }

  /** Empties the queue and returns what was in it; batches in flight go on. */
  clear(): BlockRange[] {
    const queue = this.#queue;
    this.#queue = [];
    return queue;
  }

  /** No more writes. Buffers that the socket still holds are given up. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#queue = [];
    this.#buffers.forget(this.#retry);
    this.#pacer.forget(this.#retry);
    // Those being read come back in #read; the rest belongs to a socket that may never call back.
    const unwritten = this.#reading.filter((batch) => batch.frames !== undefined);
    for (const { buffer } of unwritten) this.#buffers.give(buffer);
    for (let lost = this.#inFlight - this.#reading.length; lost > 0; lost -= 1) this.#buffers.forfeit();
  }

  #pump(): void {
    while (!this.#isClosed && this.#queue.length > 0 && this.#inFlight < this.#maxBatches) {
      if (!this.#pacer.enter(this.#retry)) return;
      const buffer = this.#buffers.take();
      if (buffer === undefined) {
        this.#buffers.wait(this.#retry);
        return;
      }
      const batch: Batch = { blocks: this.#takeRun(), buffer, frames: undefined };
      this.#pacer.take(bytesOf(batch.blocks));
      this.#inFlight += 1;
      this.#reading.push(batch);
      void this.#read(batch);
    }
  }

  /** The first blocks of the queue that lie one after another in the blob. */
  #takeRun(): BlockRange[] {
    let count = 0;
    let bytes = 0;
    let end: number | undefined;
    for (const block of this.#queue) {
      const offset = this.#offsetOf(block);
      const isNext = end === undefined || offset === end;
      const isFull = bytes + block.length > this.#batchBytes || count * BLOCK_LENGTH >= this.#batchBytes;
      // The first one always fits: the session lets none through that is longer than a batch.
      if (count > 0 && (!isNext || isFull)) break;
      end = offset + block.length;
      bytes += block.length;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #read(batch: Batch): Promise<void> {
    const { blocks, buffer } = batch;
    const [first] = blocks as [BlockRange];
    const bytes = bytesOf(blocks);
    const start = startOf(blocks.length);
    let frames = buffer.subarray(0, 0);
    try {
      await this.#sink.read(this.#offsetOf(first), buffer.subarray(start, start + bytes));
      frames = frame(buffer, blocks, start);
    } catch {
      // Not ours to report: the blob was evicted or the disk failed, and the store has logged it. The peer asks elsewhere.
    }
    if (this.#isClosed) {
      this.#buffers.give(buffer);
      return;
    }
    batch.frames = frames;
    this.#flush();
  }

  /** Writes what is read, in order, one batch at a time: TLS copies into new memory what waits in the socket in pieces. */
  #flush(): void {
    for (let batch = this.#reading[0]; batch?.frames !== undefined && !this.#isWriting; batch = this.#reading[0]) {
      this.#reading.shift();
      const { blocks, buffer, frames } = batch;
      if (frames.length === 0) {
        this.#release(buffer);
        this.#sink.failed(blocks);
      } else {
        this.#sink.sent(blocks);
        this.#isWriting = true;
        this.#sink.write(frames, () => this.#written(buffer));
      }
      if (this.#isClosed) return;
    }
    this.#pump();
  }

  #written(buffer: Buffer): void {
    this.#isWriting = false;
    // The next batch first: the socket must not run dry while we see to the buffers.
    if (!this.#isClosed) this.#flush();
    this.#release(buffer);
  }

  #release(buffer: Buffer): void {
    // After close the buffer is written off already.
    if (this.#isClosed) return;
    this.#inFlight -= 1;
    this.#buffers.give(buffer);
    this.#pump();
  }

  #offsetOf({ index, begin }: BlockRange): number {
    return index * this.#geometry.pieceLength + begin;
  }
}

function bytesOf(blocks: readonly BlockRange[]): number {
  return blocks.reduce((sum, block) => sum + block.length, 0);
}

/** Turns blocks that lie one after another from `start` into frames: moves each to its place, where the last one is already. */
function frame(buffer: Buffer, blocks: readonly BlockRange[], start: number): Buffer {
  const begin = start - blocks.length * PIECE_HEADER_LENGTH;
  let source = start;
  let target = begin;
  for (const block of blocks) {
    const place = target + PIECE_HEADER_LENGTH;
    if (place !== source) buffer.copyWithin(place, source, source + block.length);
    writePieceHeader(buffer, target, block);
    source += block.length;
    target = place + block.length;
  }
  return buffer.subarray(begin, target);
}
