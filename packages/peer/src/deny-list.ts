import type { DenyList as PushedDenyList } from '@sealift/bittorrent';
import { type NodeId, type ProvenRight, Revocations } from '@sealift/core';

/** The nodes that the tracker has shut out and the rights that it has taken back; pushed with announce answers. */
export class DenyList {
  #version = 0;
  #nodeIds: ReadonlySet<NodeId> = new Set();
  #revocations = new Revocations();

  /** What to tell the tracker, so that it sends the list only when it changed. */
  get version(): number {
    return this.#version;
  }

  isDenied(nodeId: NodeId): boolean {
    return this.#nodeIds.has(nodeId);
  }

  /** Whether a right is worth nothing any more, so that neither a peer's grant for it counts nor ours. */
  isRevoked(right: ProvenRight): boolean {
    return this.#revocations.covers(right);
  }

  /** Takes the tracker's list in place of the one before; `false` if it is the same version. */
  replace({ version, nodeIds, revocations }: PushedDenyList): boolean {
    // Not "newer": a tracker restored from a backup counts from a lower number, and its word still holds.
    if (version === this.#version) return false;
    this.#version = version;
    this.#nodeIds = new Set(nodeIds);
    this.#revocations = new Revocations(revocations);
    return true;
  }
}
