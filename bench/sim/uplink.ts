import type { EventQueue } from './event-queue.ts';
import type { Link } from './link.ts';

/** A downlink: takes what comes, one byte after the other. */
export class Downlink {
  readonly #bytesPerMs: number;
  #freeAt = 0;

  constructor(bytesPerMs: number) {
    this.#bytesPerMs = bytesPerMs;
  }

  /** When the last of `length` bytes is here that begin to come at `startAt` and leave the other side by `sentAt`. */
  receive(length: number, startAt: number, sentAt: number): number {
    this.#freeAt = Math.max(sentAt, Math.max(this.#freeAt, startAt) + length / this.#bytesPerMs);
    return this.#freeAt;
  }
}

/** An uplink, shared by the connections that have something to send: each sends a block in its turn, as TCP would share it. */
export class Uplink {
  readonly #queue: EventQueue;
  readonly #bytesPerMs: number;
  readonly #turns = new Set<Link>();
  #isBusy = false;
  /** Since the start. */
  sentBytes = 0;

  constructor(queue: EventQueue, bytesPerMs: number) {
    this.#queue = queue;
    this.#bytesPerMs = bytesPerMs;
  }

  /** The connection has blocks to send. */
  enter(link: Link): void {
    this.#turns.add(link);
    if (!this.#isBusy) this.#sendNext();
  }

  #sendNext(): void {
    for (const link of this.#turns) {
      this.#turns.delete(link);
      const block = link.isOpen ? link.uploads.shift() : undefined;
      if (block === undefined) continue;
      if (link.uploads.length > 0) this.#turns.add(link);
      this.#isBusy = true;
      this.sentBytes += block.length;
      const startAt = this.#queue.now();
      const sentAt = startAt + block.length / this.#bytesPerMs;
      const hereAt = link.remote.downlink.receive(block.length, startAt, sentAt);
      const { mirror } = link;
      this.#queue.at(hereAt + link.node.latencyTo(link.remote), () => mirror.node.blockArrived(mirror, block));
      this.#queue.at(sentAt, () => {
        this.#isBusy = false;
        this.#sendNext();
      });
      return;
    }
  }
}
