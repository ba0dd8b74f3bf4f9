import { BLOCK_LENGTH, type Clock } from '@sealift/core';

/** Shortest span over which a rate is measured, in ms: below it the clock's grain decides. */
const SAMPLE_MS = 20;
/** Queueing time the window aims for at least, in ms: covers the batches in which requests and blocks move. */
const MIN_QUEUE_MS = 20;
/**
 * Time that one block may take at the rate of its peer, in ms. On a slow link blocks stay short, so that requests can be
 * taken back, given to others and found overdue bit by bit; on a fast one each costs more than its bytes, and a swarm's
 * many connections share one link.
 */
const BLOCK_MS = 20;
/** Round trips kept in flight: one on the way, one being served. */
const ROUND_TRIPS = 2;

/**
 * How many bytes to keep requested from one peer: what it delivers in two round trips, between a floor that starts a
 * connection well and a ceiling that bounds memory. Queueing makes the measured round trip longer but not the shortest
 * one, so the window does not run away with its own delay.
 */
export class RequestWindow {
  readonly #clock: Clock;
  readonly #minBytes: number;
  readonly #maxBytes: number;
  #bytesPerMs = 0;
  #shortestRoundTripMs = Number.POSITIVE_INFINITY;
  #sampleStart: number | undefined;
  #sampleBytes = 0;

  constructor({ clock, minBytes, maxBytes }: { clock: Clock; minBytes: number; maxBytes: number }) {
    this.#clock = clock;
    this.#minBytes = minBytes;
    this.#maxBytes = maxBytes;
  }

  /** Bytes to keep requested, a whole number of blocks. */
  get bytes(): number {
    const roundTrip = Number.isFinite(this.#shortestRoundTripMs) ? this.#shortestRoundTripMs : 0;
    const wanted = this.#bytesPerMs * Math.max(ROUND_TRIPS * roundTrip, MIN_QUEUE_MS);
    const bounded = Math.min(this.#maxBytes, Math.max(this.#minBytes, wanted));
    return Math.floor(bounded / BLOCK_LENGTH) * BLOCK_LENGTH;
  }

  /** Longest block to ask of the peer, in bytes: 16 KiB times a power of two, and at most `maxBytes` if that is more. */
  blockLength(maxBytes: number): number {
    let length = BLOCK_LENGTH;
    while (2 * length <= Math.min(maxBytes, this.#bytesPerMs * BLOCK_MS)) length *= 2;
    return length;
  }

  /** What the peer delivers, in bytes per second. */
  get rate(): number {
    return this.#bytesPerMs * 1000;
  }

  /** A block of `length` bytes came, asked for at `requestedAt`. */
  received(length: number, requestedAt: number): void {
    const now = this.#clock.now();
    // Never forgotten: a later minimum would contain our own queue, and the window would feed on itself.
    this.#shortestRoundTripMs = Math.min(this.#shortestRoundTripMs, now - requestedAt);
    this.#sampleStart ??= requestedAt;
    this.#sampleBytes += length;
    const span = now - this.#sampleStart;
    if (span < SAMPLE_MS) return;
    const sample = this.#sampleBytes / span;
    // Up at once, down slowly: a pause while there was nothing to ask for must not close the window.
    this.#bytesPerMs = sample > this.#bytesPerMs ? sample : (this.#bytesPerMs * 3 + sample) / 4;
    this.#sampleStart = now;
    this.#sampleBytes = 0;
  }

  /** Nothing is requested any more: the time until the next request says nothing about the peer. */
  idle(): void {
    this.#sampleStart = undefined;
    this.#sampleBytes = 0;
  }
}
