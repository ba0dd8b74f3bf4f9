import type { Clock } from '@sealift/core';

/** A leaf in use and when to replace it, in ms since the epoch. */
export interface Leaf<T> {
  readonly value: T;
  /** It is not good before, which matters to a machine whose clock was set back. */
  readonly notBefore: number;
  readonly renewAt: number;
}

/**
 * One leaf for each host of a fixed list, which is what bounds it. Callers that ask at the same time share one minting; a
 * minting that failed is not remembered.
 */
export class LeafCache<T> {
  readonly #hosts: ReadonlySet<string>;
  readonly #mint: (host: string) => Promise<Leaf<T>>;
  readonly #clock: Clock;
  readonly #leaves = new Map<string, Leaf<T>>();
  readonly #minting = new Map<string, Promise<Leaf<T>>>();

  constructor(options: { hosts: ReadonlySet<string>; mint: (host: string) => Promise<Leaf<T>>; clock: Clock }) {
    this.#hosts = options.hosts;
    this.#mint = options.mint;
    this.#clock = options.clock;
  }

  /** Leaves held now. */
  get size(): number {
    return this.#leaves.size;
  }

  /** The leaf for `host`, or `undefined` for a host that is not on the list. */
  async get(host: string): Promise<T | undefined> {
    if (!this.#hosts.has(host)) return undefined;
    const leaf = this.#leaves.get(host);
    const now = this.#clock.now();
    if (leaf !== undefined && now >= leaf.notBefore && now < leaf.renewAt) return leaf.value;
    return (await this.#mintOnce(host)).value;
  }

  #mintOnce(host: string): Promise<Leaf<T>> {
    const running = this.#minting.get(host);
    if (running !== undefined) return running;
    const minting = this.#mint(host)
      .then((leaf) => {
        this.#leaves.set(host, leaf);
        return leaf;
      })
      .finally(() => this.#minting.delete(host));
    this.#minting.set(host, minting);
    return minting;
  }
}
