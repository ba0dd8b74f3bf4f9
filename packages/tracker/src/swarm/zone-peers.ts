import type { HandoutPeer } from './handout.ts';
import { type PeerList, PeerSet } from './peer-list.ts';

/**
 * Nodes of one zone that are sent to other zones, at most. Each piece crosses once, whoever fetches it; several share the
 * work and the risk that one of them goes away. They know each other, which is how they share out the pieces.
 */
const MAX_GATEWAYS = 8;

/** The peers of one swarm in one zone, and those of them who may look beyond it: the first who came and still want pieces. */
export class ZonePeers<T extends HandoutPeer> {
  readonly #all = new PeerSet<T>();
  readonly #gateways = new Set<T>();

  get all(): PeerList<T> {
    return this.#all;
  }

  get gateways(): ReadonlySet<T> {
    return this.#gateways;
  }

  get isEmpty(): boolean {
    return this.#all.length === 0;
  }

  /** `canBeGateway`: it wants pieces, or had a place already and has them all by now. */
  add(peer: T, { canBeGateway }: { canBeGateway: boolean }): void {
    this.#all.add(peer);
    this.setSeeking(peer, canBeGateway);
  }

  /** The peer wants pieces, and may take a place that is free, or does not. */
  setSeeking(peer: T, isSeeking: boolean): void {
    if (!isSeeking) this.#gateways.delete(peer);
    else if (this.#gateways.size < MAX_GATEWAYS) this.#gateways.add(peer);
  }

  /** Returns whether it was a gateway. */
  delete(peer: T): boolean {
    this.#all.delete(peer);
    return this.#gateways.delete(peer);
  }
}
