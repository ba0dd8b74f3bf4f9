/** What the handout has to know about a peer. */
export interface HandoutPeer {
  /** A site or rack, where zones are configured. */
  readonly zone?: string | undefined;
}

/** A list that can be looked into at any place without copying it: a swarm has thousands of peers. */
export interface PeerList<T> {
  readonly length: number;
  at(index: number): T | undefined;
}

/** Candidates drawn for each peer handed out where zones are in use, so that there are some of the same zone among them. */
const ZONE_OVERSAMPLING = 4;
/** Share of a handout that goes to peers of the asker's own zone first; the rest keeps the zones in one swarm. */
const SAME_ZONE_SHARE = 0.75;

/**
 * Chooses which peers of a swarm an asker gets: at random, so that the swarm grows into a random graph, which stays in one
 * piece and has short paths. Costs as much as the peers handed out, not as the swarm. Pure: the simulator runs it too.
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
  pick<T extends HandoutPeer>(peers: PeerList<T>, { wanted, asker }: { wanted: number; asker?: T | undefined }): T[] {
    const limit = Math.min(Math.max(0, Math.trunc(wanted)), this.#maxPeers);
    if (limit === 0) return [];
    const zone = asker?.zone;
    // One more than needed, because the asker may be drawn.
    const drawn = this.#sample(peers, (zone === undefined ? limit : limit * ZONE_OVERSAMPLING) + 1).filter(
      (peer) => peer !== asker,
    );
    return zone === undefined ? drawn.slice(0, limit) : preferZone(drawn, zone, limit);
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

function preferZone<T extends HandoutPeer>(drawn: readonly T[], zone: string, limit: number): T[] {
  const near = drawn.filter((peer) => peer.zone === zone);
  const far = drawn.filter((peer) => peer.zone !== zone);
  const nearCount = Math.max(Math.ceil(limit * SAME_ZONE_SHARE), limit - far.length);
  const chosen = near.slice(0, nearCount);
  return [...chosen, ...far.slice(0, limit - chosen.length)];
}
