import type { BlockRange } from '@sealift/bittorrent';
import type { EventQueue } from './event-queue.ts';
import type { Link } from './link.ts';

interface Arrival {
  readonly block: BlockRange;
  /** When its last byte has left the other side, in ms. */
  readonly sentAt: number;
}

/** A downlink, shared by the connections on which something comes: a block of each in its turn, as TCP would share it. */
export class Downlink {
  readonly #queue: EventQueue;
  readonly #bytesPerMs: number;
  readonly #waiting = new Map<Link, Arrival[]>();
  #isBusy = false;

  constructor(queue: EventQueue, bytesPerMs: number) {
    this.#queue = queue;
    this.#bytesPerMs = bytesPerMs;
  }

  /** A block begins to come over `link`, and has left the other side at `sentAt`. */
  receive(link: Link, block: BlockRange, sentAt: number): void {
    if (!this.#isBusy) {
      this.#take(link, { block, sentAt });
      return;
    }
    const line = this.#waiting.get(link);
    if (line === undefined) this.#waiting.set(link, [{ block, sentAt }]);
    else line.push({ block, sentAt });
  }

  #take(link: Link, { block, sentAt }: Arrival): void {
    this.#isBusy = true;
    const hereAt = Math.max(sentAt, this.#queue.now() + block.length / this.#bytesPerMs);
    this.#queue.at(hereAt + link.node.latencyTo(link.remote), () => link.node.blockArrived(link, block));
    this.#queue.at(hereAt, () => {
      this.#isBusy = false;
      this.#takeNext();
    });
  }

  #takeNext(): void {
    for (const [link, line] of this.#waiting) {
      const arrival = line.shift();
      // To the end of the line of connections.
      this.#waiting.delete(link);
      if (arrival === undefined) continue;
      if (line.length > 0) this.#waiting.set(link, line);
      this.#take(link, arrival);
      return;
    }
  }
}

/** An uplink, shared by the connections that have something to send: each sends a block in its turn. */
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
      const sentAt = this.#queue.now() + block.length / this.#bytesPerMs;
      link.remote.downlink.receive(link.mirror, block, sentAt);
      this.#queue.at(sentAt, () => {
        this.#isBusy = false;
        this.#sendNext();
      });
      return;
    }
  }
}
