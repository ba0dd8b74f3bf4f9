import type { NodeId } from '@sealift/core';

/** The nodes that the tracker has shut out; pushed with announce answers. */
export class DenyList {
  #version = 0;
  #nodeIds: ReadonlySet<NodeId> = new Set();

  /** What to tell the tracker, so that it sends the list only when it changed. */
  get version(): number {
    return this.#version;
  }

  isDenied(nodeId: NodeId): boolean {
    return this.#nodeIds.has(nodeId);
  }

  /** Takes the tracker's list in place of the one before; `false` if it is the same version. */
  replace({ version, nodeIds }: { version: number; nodeIds: readonly NodeId[] }): boolean {
    // Not "newer": a tracker restored from a backup counts from a lower number, and its word still holds.
    if (version === this.#version) return false;
    this.#version = version;
    this.#nodeIds = new Set(nodeIds);
    return true;
  }
}
