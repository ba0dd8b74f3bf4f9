import { hash } from 'node:crypto';
import { BLOCK_LENGTH, type NodeId, type PieceGeometry, pieceSize } from '@sealift/core';

/** Failed pieces remembered at once, 8 KiB each at most. More fail only while nearly everybody lies. */
const MAX_REMEMBERED = 64;

interface Failure {
  readonly senders: readonly (NodeId | undefined)[];
  readonly blockHashes: readonly string[];
}

/**
 * Finds out who sent the wrong block of a piece that several peers contributed to: the failed piece is fetched again from
 * one peer, and whoever sent a block that differs from the verified one lied.
 */
export class Suspects {
  readonly #geometry: PieceGeometry;
  readonly #failures = new Map<number, Failure>();

  constructor({ geometry }: { geometry: PieceGeometry }) {
    this.#geometry = geometry;
  }

  /** The piece failed before and must now come from one peer. */
  has(index: number): boolean {
    return this.#failures.has(index);
  }

  /** The piece does not match its hash. Returns the sender if there was only one. */
  failed(index: number, data: ArrayBuffer, senders: readonly (NodeId | undefined)[]): NodeId | undefined {
    const [first] = senders;
    if (first !== undefined && senders.every((sender) => sender === first)) return first;
    if (this.#failures.size >= MAX_REMEMBERED)
      for (const oldest of this.#failures.keys()) {
        this.#failures.delete(oldest);
        break;
      }
    this.#failures.set(index, { senders, blockHashes: this.#blockHashes(index, data) });
    return undefined;
  }

  /** The piece is verified: returns those who had sent something else before. */
  verified(index: number, data: ArrayBuffer): NodeId[] {
    const failure = this.#failures.get(index);
    if (failure === undefined) return [];
    this.#failures.delete(index);
    const culprits = new Set<NodeId>();
    for (const [block, blockHash] of this.#blockHashes(index, data).entries()) {
      const sender = failure.senders[block];
      if (sender !== undefined && blockHash !== failure.blockHashes[block]) culprits.add(sender);
    }
    return [...culprits];
  }

  #blockHashes(index: number, data: ArrayBuffer): string[] {
    const size = pieceSize(this.#geometry, index);
    const hashes: string[] = [];
    for (let begin = 0; begin < size; begin += BLOCK_LENGTH) {
      hashes.push(hash('sha256', new Uint8Array(data, begin, Math.min(BLOCK_LENGTH, size - begin)), 'base64'));
    }
    return hashes;
  }
}
