import type { PeerList } from './peer-list.ts';

/** What the handout has to know about a peer. */
export interface HandoutPeer {
  /** A site or rack, where zones are configured. */
  readonly zone?: string | undefined;
}

/** The asker's zone, as far as the handout needs it; `ZonePeers` is one. */
export interface HandoutZone<T> {
  readonly all: PeerList<T>;
  /** Members that get peers of other zones too. */
  readonly gateways: ReadonlySet<T>;
}

/** Peers of other zones for a gateway: enough that one that goes away does not cut the zone off. */
const FAR_PEERS = 4;
/** Peers drawn from the whole swarm to find those, since some of the asker's own zone are among them. */
const FAR_DRAWN = 32;

/**
 * Chooses which peers of a swarm an asker gets: at random, so that the swarm grows into a random graph, which stays in one
 * piece and has short paths. In a zone it is the same, but for the gateways: they get each other first, and a few peers of
 * other zones. Costs as much as the peers handed out, not as the swarm. Pure: the simulator runs it too.
 */
export class Handout {
  readonly #random: () => number;
  readonly #maxPeers: number;

  /** `random` gives numbers in [0, 1). `maxPeers` is the most that one answer holds. */
  constructor({ random, maxPeers }: { random: () => number; maxPeers: number }) {
    this.#random = random;
    this.#maxPeers = maxPeers;
  }

  /** At most `wanted` different peers of `peers`, never `asker` itself, in random order but for the zone. */
  pick<T extends HandoutPeer>(
    peers: PeerList<T>,
    { wanted, asker, zone }: { wanted: number; asker?: T | undefined; zone?: HandoutZone<T> | undefined },
  ): T[] {
    const limit = Math.min(Math.max(0, Math.trunc(wanted)), this.#maxPeers);
    if (limit === 0) return [];
    if (zone === undefined) return this.#others(peers, asker, limit);
    const isGateway = asker !== undefined && zone.gateways.has(asker);
    if (!isGateway) return this.#others(zone.all, asker, limit);
    const far = this.#sample(peers, FAR_DRAWN).filter((peer) => peer.zone !== asker.zone);
    const kept = far.slice(0, Math.min(FAR_PEERS, Math.ceil(limit / 2)));
    const near = new Set([...zone.gateways].filter((peer) => peer !== asker));
    for (const peer of this.#others(zone.all, asker, limit)) near.add(peer);
    return [...[...near].slice(0, limit - kept.length), ...kept];
  }

  /** `count` members of `peers` other than `asker`. */
  #others<T>(peers: PeerList<T>, asker: T | undefined, count: number): T[] {
    // One more than needed, because the asker may be drawn.
    const drawn = this.#sample(peers, count + 1);
    // By identity alone: a look into each of fifty peers of thousands is a miss of the cache.
    const place = asker === undefined ? -1 : drawn.indexOf(asker);
    if (place !== -1) drawn.splice(place, 1);
    else if (drawn.length > count) drawn.pop();
    return drawn;
  }

  /** `count` different members of `peers`, each with the same chance. */
  #sample<T>(peers: PeerList<T>, count: number): T[] {
    const size = Math.min(count, peers.length);
    // Fisher-Yates over a sparse copy: only the places that were swapped are held.
    const moved = new Map<number, number>();
    const sample: T[] = [];
    for (let index = 0; index < size; index += 1) {
      const other = index + Math.floor(this.#random() * (peers.length - index));
      const peer = peers.at(moved.get(other) ?? other);
      moved.set(other, moved.get(index) ?? index);
      if (peer !== undefined) sample.push(peer);
    }
    return sample;
  }
}
