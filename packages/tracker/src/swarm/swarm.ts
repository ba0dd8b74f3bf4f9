import type { NodeId } from '@sealift/core';
import type { AnnouncedPeer } from './announce-encoding.ts';
import type { HandoutPeer } from './handout.ts';
import type { PeerList } from './peer-list.ts';
import { ZonePeers } from './zone-peers.ts';

/** One node in one swarm, as its last announce left it. */
export interface SwarmPeer extends HandoutPeer, AnnouncedPeer {
  readonly isComplete: boolean;
  /** When it is forgotten unless it announces again, in ms. */
  expiresAt: number;
}

/**
 * The peers of one blob, by the node id of their certificates. Ordered by their last announce, so that most of those to
 * forget are at the front, and indexable, so that a handout costs what it hands out.
 */
export class Swarm {
  readonly #places = new Map<NodeId, { peer: SwarmPeer; index: number }>();
  readonly #complete: SwarmPeer[] = [];
  readonly #incomplete: SwarmPeer[] = [];
  readonly #zones = new Map<string, ZonePeers<SwarmPeer>>();

  get size(): number {
    return this.#places.size;
  }

  /** Peers that have the whole blob. */
  get complete(): number {
    return this.#complete.length;
  }

  get incomplete(): number {
    return this.#incomplete.length;
  }

  /** Peers worth knowing for a node that still needs pieces: all of them. */
  get all(): PeerList<SwarmPeer> {
    const split = this.#incomplete.length;
    return {
      length: this.size,
      at: (index) => (index < split ? this.#incomplete[index] : this.#complete[index - split]),
    };
  }

  /** Peers worth knowing for a node that has the whole blob: those that have not. */
  get leechers(): PeerList<SwarmPeer> {
    return { length: this.#incomplete.length, at: (index) => this.#incomplete[index] };
  }

  get(nodeId: NodeId): SwarmPeer | undefined {
    return this.#places.get(nodeId)?.peer;
  }

  /** The peers that stand in a zone; `undefined` if there are none. */
  zone(zone: string): ZonePeers<SwarmPeer> | undefined {
    return this.#zones.get(zone);
  }

  /** `isSeeking`: it asks for peers, so it is of use as a gateway of its zone. */
  put(peer: SwarmPeer, { isSeeking }: { isSeeking: boolean }): void {
    const wasGateway = this.#leaveZone(peer.nodeId);
    this.delete(peer.nodeId);
    const list = this.#listOf(peer);
    list.push(peer);
    this.#places.set(peer.nodeId, { peer, index: list.length - 1 });
    if (peer.zone === undefined) return;
    const zone = this.#zones.get(peer.zone) ?? new ZonePeers();
    this.#zones.set(peer.zone, zone);
    zone.add(peer, { canBeGateway: peer.isComplete ? wasGateway : isSeeking });
  }

  /** Lets a peer that announces the same again stand until `expiresAt`. */
  renew(peer: SwarmPeer, { expiresAt, isSeeking }: { expiresAt: number; isSeeking: boolean }): void {
    const place = this.#places.get(peer.nodeId);
    if (place === undefined) return;
    peer.expiresAt = expiresAt;
    this.#places.delete(peer.nodeId);
    this.#places.set(peer.nodeId, place);
    if (!peer.isComplete) this.#zoneOf(peer)?.setSeeking(peer, isSeeking);
  }

  delete(nodeId: NodeId): boolean {
    const place = this.#places.get(nodeId);
    if (place === undefined) return false;
    this.#leaveZone(nodeId);
    this.#places.delete(nodeId);
    const list = this.#listOf(place.peer);
    const last = list.pop();
    if (last !== undefined && last !== place.peer) {
      list[place.index] = last;
      const moved = this.#places.get(last.nodeId);
      if (moved !== undefined) moved.index = place.index;
    }
    return true;
  }

  /** Forgets peers whose time is up and names them. Unless `isThorough`, those behind one that has longer are left. */
  expire(now: number, { isThorough = false } = {}): NodeId[] {
    const expired: NodeId[] = [];
    for (const [nodeId, { peer }] of this.#places) {
      if (peer.expiresAt <= now) expired.push(nodeId);
      else if (!isThorough) break;
    }
    for (const nodeId of expired) this.delete(nodeId);
    return expired;
  }

  #zoneOf({ zone }: SwarmPeer): ZonePeers<SwarmPeer> | undefined {
    return zone === undefined ? undefined : this.#zones.get(zone);
  }

  /** Returns whether the node was a gateway of its zone. */
  #leaveZone(nodeId: NodeId): boolean {
    const peer = this.#places.get(nodeId)?.peer;
    const zone = peer === undefined ? undefined : this.#zoneOf(peer);
    if (peer?.zone === undefined || zone === undefined) return false;
    const wasGateway = zone.delete(peer);
    if (zone.isEmpty) this.#zones.delete(peer.zone);
    return wasGateway;
  }

  #listOf(peer: SwarmPeer): SwarmPeer[] {
    return peer.isComplete ? this.#complete : this.#incomplete;
  }
}
