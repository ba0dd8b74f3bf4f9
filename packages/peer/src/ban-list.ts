import type { Clock, NodeId } from '@sealift/core';

/** Bans kept at most: more than one cluster enrols at a time. The ban that ends first makes room for a new one. */
const MAX_BANS = 10_000;

/**
 * The nodes we refuse to talk to for a while.
 *
 * Starts no timer: a ban ends when it is read, against the injected clock. Its key is the certificate's node id, never
 * the `peer_id` of a handshake, so the nodes enrolled in the cluster bound its size.
 */
export class BanList {
  readonly #endsAt = new Map<NodeId, number>();
  readonly #clock: Clock;
  readonly #maxBans: number;

  constructor({ clock, maxBans = MAX_BANS }: { clock: Clock; maxBans?: number }) {
    this.#clock = clock;
    this.#maxBans = maxBans;
  }

  /** Bans `nodeId` for `durationMs` from now. Never shortens a ban that already runs. */
  ban(nodeId: NodeId, durationMs: number): void {
    const endsAt = Math.max(this.#endsAt.get(nodeId) ?? 0, this.#clock.now() + durationMs);
    if (!this.#endsAt.has(nodeId) && this.#endsAt.size >= this.#maxBans) this.#makeRoom();
    this.#endsAt.set(nodeId, endsAt);
  }

  isBanned(nodeId: NodeId): boolean {
    const endsAt = this.#endsAt.get(nodeId);
    if (endsAt === undefined) return false;
    if (endsAt > this.#clock.now()) return true;
    this.#endsAt.delete(nodeId);
    return false;
  }

  #makeRoom(): void {
    let first: [NodeId, number] | undefined;
    for (const entry of this.#endsAt) if (first === undefined || entry[1] < first[1]) first = entry;
    if (first !== undefined) this.#endsAt.delete(first[0]);
  }
}
