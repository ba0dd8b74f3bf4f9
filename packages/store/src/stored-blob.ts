import type { Bitfield, Digest, PieceGeometry, RegistryHost, SwarmId } from '@sealift/core';

/** What {@link StoredBlob.verify} found. */
export interface VerifyResult {
  /** Pieces that were hashed. */
  readonly checked: number;
  /** Indexes of those that did not match. They are missing now. */
  readonly dropped: readonly number[];
}

/** The part of a blob that readers need. */
export interface ReadableBlob {
  readonly geometry: PieceGeometry;
  /** The verified pieces. Whoever reads never changes it. */
  readonly bitfield: Bitfield;

  /**
   * Fills `into` with the bytes of the blob from `offset`. Throws `PIECE_MISSING` unless all of them are verified,
   * `STORE_FAULT` when the disk fails, `STORE_CLOSED`.
   */
  read(offset: number, into: Uint8Array): Promise<void>;
}

/** A blob on this node's disk, whole or in part. One object per swarm, as long as the store holds it. */
export interface StoredBlob extends ReadableBlob {
  readonly swarmId: SwarmId;
  readonly registry: RegistryHost;
  readonly digest: Digest;
  /** Where the bytes are, for another process of this node. Only the verified pieces mean anything. */
  readonly dataFile: string;
  /**
   * The pieces whose bytes this very process has hashed: what an earlier one has left may have changed on the disk since. It
   * counts as verified, and is to be proven before it is given to anybody.
   */
  readonly proven: Bitfield;
  /** All pieces are there and {@link markComplete} has said that they make the digest. */
  readonly isComplete: boolean;
  /** What {@link appendHashes} added, in order; the store does not look inside. Grows with it, so copy it to keep it. */
  readonly hashRecords: readonly Buffer[];

  /**
   * Hashes the first bytes of `data`, as many as piece `index` has, and stores them only if they match: the way in for what
   * a peer has sent. Takes the buffer (it is transferred) and gives it back for reuse; a call that throws keeps it. A piece
   * that is there already is verified again and left as it is. Throws `PIECE_REJECTED` if a call makes no sense or
   * contradicts the hash under which the piece is held, `STORE_FULL` when the disk is full, `STORE_FAULT` when it fails,
   * `STORE_CLOSED`.
   */
  writePiece(index: number, data: ArrayBuffer, sha256: Uint8Array): Promise<{ verified: boolean; buffer: ArrayBuffer }>;

  /**
   * The same for whoever reads the blob at its source and makes the hashes that others check by: stores the piece as it is,
   * and resolves with its SHA-256. Throws as {@link writePiece} does.
   */
  takePiece(index: number, data: ArrayBuffer): Promise<{ sha256: Uint8Array; buffer: ArrayBuffer }>;

  /**
   * Takes pieces out at once, and puts each back that is held under the hash given here; the others are gone. For pieces
   * whose signed hash has changed since they were stored, or was not known. Resolves with those that are back. Throws
   * `STORE_FAULT` when the disk fails, `STORE_CLOSED`; what was not looked at yet is missing then until the next start.
   */
  confirm(pieces: readonly { readonly index: number; readonly sha256: Uint8Array }[]): Promise<readonly number[]>;

  /** Keeps signed hash batches with the blob, all or none. Throws `STORE_FULL` above 256 bytes per piece plus 4 KiB in all. */
  appendHashes(...records: readonly Uint8Array[]): Promise<void>;

  /** Puts `records` in place of all kept ones, in one step. */
  replaceHashes(records: readonly Uint8Array[]): Promise<void>;

  /** Remembers that the blob matches its digest; throws `PIECE_MISSING` unless all pieces are there. */
  markComplete(): Promise<void>;

  /**
   * Keeps the blob's files on the disk until the returned function is called (safe to call twice), and counts as a use.
   * Throws `STORE_CLOSED` once the blob is evicted or deleted.
   */
  pin(): () => void;

  /**
   * Sees to it that a verified piece is {@link proven}: hashes it unless this process has done so. `false` if the disk has
   * changed it; it is missing now. Throws `PIECE_MISSING` if it was not there, `STORE_FAULT`, `STORE_CLOSED`.
   */
  prove(index: number): Promise<boolean>;

  /** Hashes all pieces again and drops those that the disk has changed. Ends early, without an error, on `signal`. */
  verify(options?: { signal?: AbortSignal }): Promise<VerifyResult>;
}
