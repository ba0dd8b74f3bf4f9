import type { Clock } from '@sealift/core';

/** What the choker knows of a connected peer. */
export interface ChokerPeer {
  readonly isInterested: boolean;
  /** A peer that only seeds may never receive a block. */
  readonly mayReceive: boolean;
  /** Pieces that it still lacks. */
  readonly missing: number;
  /** Bytes that it gave us since the last round. */
  readonly given: number;
}

interface Turn {
  /** Start of the present turn; `undefined` while choked. */
  servedSince: number | undefined;
  /** When it last lost its slot, or when it was first seen waiting. */
  waitingSince: number;
}

/**
 * Which peers we serve. The nodes of a cluster work together, so nobody has to earn a slot; what counts is that all get
 * their turn and that bytes go where they spread. Half of the slots that come free go to those who wait longest, so that
 * each waiting peer is served within a bounded number of rounds; the other half to those who give most and lack most.
 *
 * Pure: looks at the clock when asked and starts no timer.
 */
export class Choker<Peer> {
  readonly #turns = new Map<Peer, Turn>();
  readonly #clock: Clock;
  readonly #roundMs: number;

  constructor({ clock, roundMs }: { clock: Clock; roundMs: number }) {
    this.#clock = clock;
    this.#roundMs = roundMs;
  }

  /** The peers to serve from now on, at most `slots`. Peers that are not in `peers` are forgotten. */
  decide(peers: ReadonlyMap<Peer, ChokerPeer>, slots: number): ReadonlySet<Peer> {
    const now = this.#clock.now();
    const waiting: Peer[] = [];
    const serving: Peer[] = [];
    for (const peer of this.#turns.keys()) if (!isCandidate(peers.get(peer))) this.#turns.delete(peer);
    for (const [peer, facts] of peers) {
      if (!isCandidate(facts)) continue;
      const turn = this.#turnOf(peer, now);
      (turn.servedSince === undefined ? waiting : serving).push(peer);
    }
    const kept = this.#keep(serving, waiting.length, slots, now);
    for (const peer of this.#admit(waiting, peers, slots - kept.size)) {
      kept.add(peer);
      this.#turnOf(peer, now).servedSince = now;
    }
    for (const peer of serving)
      if (!kept.has(peer)) this.#turns.set(peer, { servedSince: undefined, waitingSince: now });
    return kept;
  }

  /** Ends the turns that lasted a round, the longest first, as far as others wait for them. */
  #keep(serving: readonly Peer[], waitingCount: number, slots: number, now: number): Set<Peer> {
    const byTurn = serving.toSorted((a, b) => this.#servedSince(b) - this.#servedSince(a));
    const kept = new Set(byTurn.slice(0, slots));
    let wanted = waitingCount - (slots - kept.size);
    for (const peer of byTurn.toReversed()) {
      if (wanted <= 0) break;
      if (now - this.#servedSince(peer) >= this.#roundMs && kept.delete(peer)) wanted -= 1;
    }
    return kept;
  }

  #admit(waiting: readonly Peer[], peers: ReadonlyMap<Peer, ChokerPeer>, count: number): Peer[] {
    if (count <= 0) return [];
    const byWait = waiting.toSorted((a, b) => this.#waitingSince(a) - this.#waitingSince(b));
    const patient = byWait.slice(0, Math.ceil(count / 2));
    const worthy = byWait.slice(patient.length).sort((a, b) => compareWorth(peers.get(a), peers.get(b)));
    return [...patient, ...worthy.slice(0, count - patient.length)];
  }

  #turnOf(peer: Peer, now: number): Turn {
    let turn = this.#turns.get(peer);
    if (turn === undefined) {
      turn = { servedSince: undefined, waitingSince: now };
      this.#turns.set(peer, turn);
    }
    return turn;
  }

  #servedSince(peer: Peer): number {
    return this.#turns.get(peer)?.servedSince ?? 0;
  }

  #waitingSince(peer: Peer): number {
    return this.#turns.get(peer)?.waitingSince ?? 0;
  }
}

function isCandidate(facts: ChokerPeer | undefined): boolean {
  return facts?.isInterested === true && facts.mayReceive;
}

/** Who gives more comes first, then who lacks more: its new pieces are worth most to others. */
function compareWorth(a: ChokerPeer | undefined, b: ChokerPeer | undefined): number {
  return (b?.given ?? 0) - (a?.given ?? 0) || (b?.missing ?? 0) - (a?.missing ?? 0);
}
