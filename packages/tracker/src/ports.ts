import type { BlobRef, NodeId, PieceGeometry, SwarmId, Zone } from '@sealift/core';

/** What the tracker asks of its seeder once a right is proven. */
export interface SeedRequest {
  readonly blob: BlobRef;
  readonly swarmId: SwarmId;
  /** Bytes of the blob, if the registry said so when the right was proven. */
  readonly size: number | undefined;
  /** The requester's own header for the registry. Used for this blob alone, kept only while it is read, never logged. */
  readonly authorization: string | undefined;
}

/** What a seeder has for the requester. Mirrors the `offer` of a join answer. */
export type SeedOffer =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'swarm';
      readonly size: number;
      readonly pieceLength: number;
      /** Signed hash batches so far (docs/protocol.md), in order. More follow over the wire while the blob is read. */
      readonly batches: readonly Uint8Array[];
    }
  | { readonly kind: 'none'; readonly reason: string };

/** The peer engine that is fed from the registry instead of from peers. It reads each blob once, however many ask. */
export interface Seeder {
  readonly nodeId: NodeId;
  /** Where peers reach it; stands in every announce answer of a swarm that it seeds. */
  readonly endpoint: { readonly host: string; readonly port: number };
  /** Where it stands; of another zone only few nodes are sent to it. */
  readonly zone?: Zone | undefined;
  /** Swarms that it seeds or reads now. */
  isSeeding(swarmId: SwarmId): boolean;
  /** SHA-1 of each piece of a blob that it holds whole, 20 bytes each; `undefined` if it does not. */
  pieceSums?(
    swarmId: SwarmId,
    options: { signal: AbortSignal },
  ): Promise<{ readonly geometry: PieceGeometry; readonly sums: Buffer } | undefined>;
  /** Lets stock clients in under `infoHash` from now on, as the answer to its next announce will say too. */
  setPublic?(swarmId: SwarmId, infoHash: SwarmId, options: { intervalMs: number }): void;
  /**
   * Opens a blob of which nothing is held at the registry, while the right to it is still being proven, and reads nothing of
   * it. The next {@link offer} makes use of it; to dispose of what is returned lets go of it if there was none.
   */
  openAhead?(request: Omit<SeedRequest, 'size'>): Disposable | undefined;
  /** Answers as soon as size and geometry are known, and goes on reading. Never throws for what a registry does. */
  offer(request: SeedRequest, options: { signal: AbortSignal }): Promise<SeedOffer>;
}
