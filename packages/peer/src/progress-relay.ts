import { type ContentVerifier, claimedProgress, openProgress } from '@sealift/bittorrent';
import { type Clock, keptBytes, type SwarmId } from '@sealift/core';

/** Shortest time between two progress messages to one peer, in ms (docs/protocol.md, `sl_progress`). */
const INTERVAL_MS = 1_000;

interface Told {
  /** What the peer knows: we told it, or it told us. */
  bytesRead: number;
  /** When we last told it something. */
  toldAt: number;
}

/**
 * How far the seeder has read, as the seeder signed it: what is news, and which peers still have to hear of it. A message
 * goes to a peer that has not heard as much, at most once a second, so it never multiplies: each peer sends each peer one
 * small message a second at most, however many it gets. Pure.
 */
export class ProgressRelay<Peer extends object> {
  readonly #swarmId: SwarmId;
  readonly #verifier: () => ContentVerifier;
  readonly #clock: Clock;
  readonly #told = new WeakMap<Peer, Told>();
  #latest: { bytesRead: number; payload: Buffer } | undefined;

  constructor({ swarmId, verifier, clock }: { swarmId: SwarmId; verifier: () => ContentVerifier; clock: Clock }) {
    this.#swarmId = swarmId;
    this.#verifier = verifier;
    this.#clock = clock;
  }

  /**
   * Takes the payload of a progress message; `true` if it tells more than was known. Throws `FRAME_INVALID` if the cluster's
   * seeder did not sign it for this swarm. `from` is the peer that sent it, if it was not our own seeder.
   */
  take(payload: Uint8Array, from?: Peer): boolean {
    const bytesRead = claimedProgress(payload);
    // A seeder that hangs says the same again and again, and so do all who pass it on: not worth a signature check.
    if (bytesRead <= (this.#latest?.bytesRead ?? 0)) return false;
    openProgress(payload, this.#swarmId, this.#verifier());
    this.#latest = { bytesRead, payload: keptBytes(payload) };
    if (from !== undefined) this.#toldOf(from).bytesRead = bytesRead;
    return true;
  }

  /** What to tell this peer now; the caller sends it. `undefined`: nothing that it does not know, or too soon. */
  next(peer: Peer): Buffer | undefined {
    const latest = this.#latest;
    if (latest === undefined) return undefined;
    const now = this.#clock.now();
    const told = this.#toldOf(peer);
    if (latest.bytesRead <= told.bytesRead || now - told.toldAt < INTERVAL_MS) return undefined;
    told.bytesRead = latest.bytesRead;
    told.toldAt = now;
    return latest.payload;
  }

  #toldOf(peer: Peer): Told {
    let told = this.#told.get(peer);
    if (told === undefined) {
      told = { bytesRead: 0, toldAt: Number.NEGATIVE_INFINITY };
      this.#told.set(peer, told);
    }
    return told;
  }
}
