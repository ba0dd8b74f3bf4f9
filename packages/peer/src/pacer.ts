import { BLOCK_LENGTH, type Clock } from '@sealift/core';
import { TokenBucket } from './token-bucket.ts';

/**
 * Share of what crosses the link that is blob. The rest is headers, of TCP and IP above all (40 to 66 bytes on each 1448),
 * of TLS records and messages, so that the counters of the network interface and not ours show the limit.
 */
const PAYLOAD_SHARE = 0.97;
/** Time whose bytes one turn may take, in ms: short enough for turns to be fair, long enough for few of them. */
const TURN_MS = 50;
/** Most bytes of one turn; the largest batch of an upload. */
const MAX_TURN_BYTES = 256 * 1024;
/** Time whose bytes may go out at once after a pause, in ms. It also makes up for an event loop that was busy so long. */
const BURST_MS = 200;

/**
 * Keeps all traffic of one direction within a rate, fairly: whoever finds no credit, or others before it, waits in line and
 * is called when its turn comes. One timer at most, and none while nobody waits.
 */
export class Pacer {
  readonly #bucket: TokenBucket | undefined;
  readonly #waiting = new Set<() => void>();
  #turn: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Most bytes to take in one turn, whole blocks; infinite where there is no limit. */
  readonly turnBytes: number;

  /** `bytesPerSecond`: of the link, headers included; `undefined` for no limit. */
  constructor({ clock, bytesPerSecond }: { clock: Clock; bytesPerSecond: number | undefined }) {
    if (bytesPerSecond === undefined) {
      this.turnBytes = Number.POSITIVE_INFINITY;
      return;
    }
    const rate = bytesPerSecond * PAYLOAD_SHARE;
    const blocks = Math.floor(Math.min((rate * TURN_MS) / 1000, MAX_TURN_BYTES) / BLOCK_LENGTH);
    this.turnBytes = Math.max(1, blocks) * BLOCK_LENGTH;
    this.#bucket = new TokenBucket({ clock, bytesPerSecond: rate, burstBytes: (rate * BURST_MS) / 1000 });
  }

  /**
   * Whether the caller may take now; it then calls {@link take} before it returns, or lets its turn pass. If not, `retry` is
   * called when it may ask again: with the same `retry` it keeps its one place in the line.
   */
  enter(retry: () => void): boolean {
    if (this.#bucket === undefined) return true;
    if (this.#turn === retry) {
      this.#turn = undefined;
      return true;
    }
    if (this.#turn === undefined && this.#waiting.size === 0 && this.#bucket.isOpen) return true;
    this.#waiting.add(retry);
    this.#schedule();
    return false;
  }

  /** Counts `bytes` as sent or asked for. */
  take(bytes: number): void {
    this.#bucket?.take(bytes);
  }

  /** `bytes` were not sent, or will not come, after all. */
  giveBack(bytes: number): void {
    this.#bucket?.giveBack(bytes);
  }

  /** Leaves the line. */
  forget(retry: () => void): void {
    this.#waiting.delete(retry);
  }

  /** Calls nobody any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#bucket === undefined) return;
    this.#timer = setTimeout(() => this.#serve(), Math.max(1, this.#bucket.msUntilOpen));
  }

  /** Each at most once, so that one who takes nothing and asks again cannot keep us here. */
  #serve(): void {
    this.#timer = undefined;
    for (const next of [...this.#waiting]) {
      if (this.#bucket?.isOpen !== true) break;
      if (!this.#waiting.delete(next)) continue;
      this.#turn = next;
      next();
      this.#turn = undefined;
    }
    if (this.#waiting.size > 0) this.#schedule();
  }
}
