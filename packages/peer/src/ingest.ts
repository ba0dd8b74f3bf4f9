import { hash } from 'node:crypto';
import { type ContentSigner, type HashBatch, MAX_BATCH_HASHES, signHashBatch, signProgress } from '@sealift/bittorrent';
import { AppError, type Clock, pieceSize } from '@sealift/core';
import type { Swarm } from './swarm.ts';

/** Shortest time between two progress messages, in ms (docs/protocol.md, `sl_progress`). */
const PROGRESS_INTERVAL_MS = 1_000;
/** A batch of hashes is signed once so many bytes of pieces wait for it. */
export const HASH_BATCH_BYTES = 2 * 1024 * 1024;
const BATCH_PAUSE_PER_PEER_MS = 8;
const MAX_BATCH_PAUSE_MS = 120;

/**
 * The same, in ms after the batch before, at the latest. Each node verifies each batch and passes it on, so that one for each
 * piece of a slow registry would cost a cluster more than the pieces; but a peer that is alone with us has nothing else to
 * fetch meanwhile.
 */
export function hashBatchPauseMs(peers: number): number {
  return Math.min(Math.max(0, peers - 1) * BATCH_PAUSE_PER_PEER_MS, MAX_BATCH_PAUSE_MS);
}

/** The seeder's side of a swarm: pieces go in as they are read from the registry, and are offered at once. */
export interface Ingest {
  /**
   * Hashes, stores and offers one piece; several pieces may be under way at once. Takes the buffer, one piece length long,
   * and gives it back. Throws `PIECE_REJECTED` if the piece differs from what was signed before, `STORE_FULL` and
   * `STORE_FAULT` of the store.
   */
  addPiece(index: number, data: ArrayBuffer): Promise<ArrayBuffer>;
  /** Bytes received from the registry so far; peers are told once a second. */
  progress(bytesRead: number): void;
  /** The whole blob matches its digest: signs the final list. Throws `PIECE_MISSING` if pieces are missing. */
  complete(): Promise<void>;
  /** The blob does not match its digest: tells everybody, and drops it. */
  withdraw(): Promise<void>;
  /** Nothing more will come; what is there goes on being offered. */
  abandon(): Promise<void>;
}

/** {@link Ingest} over a swarm of the engine. */
export class SwarmIngest implements Ingest {
  readonly #swarm: Swarm;
  readonly #signer: ContentSigner;
  readonly #clock: Clock;
  /** What orders this reading of the blob among others, in ms since the epoch. */
  readonly #startedAt: number;
  readonly #drop: () => Promise<void>;
  readonly #unsigned = new Map<number, Uint8Array>();
  #signing: Promise<void> | undefined;
  /** Ends the pause after a batch. */
  #hurry: (() => void) | undefined;
  /** Why signing failed; the next call throws it. */
  #failure: unknown;
  #isHurried = false;
  #lastProgressAt = Number.NEGATIVE_INFINITY;
  #isEnded = false;

  constructor({
    swarm,
    signer,
    clock,
    startedAt,
    drop,
  }: {
    swarm: Swarm;
    signer: ContentSigner;
    clock: Clock;
    /** Later than any ingest of this blob before, in ms since the epoch. */
    startedAt: number;
    /** Takes swarm and blob out of engine and store. */
    drop: () => Promise<void>;
  }) {
    this.#swarm = swarm;
    this.#signer = signer;
    this.#clock = clock;
    this.#startedAt = startedAt;
    this.#drop = drop;
  }

  /** Says that a new reading begins, so that nobody takes what an older one signed for news. */
  begin(): void {
    this.#publish({ firstIndex: 0, hashes: Buffer.alloc(0) });
  }

  async addPiece(index: number, data: ArrayBuffer): Promise<ArrayBuffer> {
    this.#demandOpen();
    const { blob } = this.#swarm;
    const known = this.#signedHash(index) ?? this.#unsigned.get(index);
    if (known === undefined && !blob.bitfield.has(index)) {
      const { sha256, buffer } = await blob.takePiece(index, data);
      this.#sign(index, sha256);
      return buffer;
    }
    const sha256 = hash('sha256', new Uint8Array(data, 0, pieceSize(blob.geometry, index)), 'buffer');
    if (known !== undefined && !sha256.equals(known)) {
      throw new AppError('PIECE_REJECTED', { reason: 'the registry sent something else before', index });
    }
    if (known === undefined) await blob.confirm([{ index, sha256 }]);
    const isNew = !blob.bitfield.has(index);
    const buffer = isNew ? (await blob.writePiece(index, data, sha256)).buffer : data;
    if (known === undefined) this.#sign(index, sha256);
    else if (isNew) this.#swarm.ingested(index);
    return buffer;
  }

  progress(bytesRead: number): void {
    const now = this.#clock.now();
    if (this.#isEnded || now - this.#lastProgressAt < PROGRESS_INTERVAL_MS) return;
    this.#lastProgressAt = now;
    const { swarmId } = this.#swarm;
    this.#swarm.takeProgress(signProgress({ swarmId, bytesRead }, this.#signer));
  }

  async complete(): Promise<void> {
    await this.#signed();
    this.#demandOpen();
    const { blob } = this.#swarm;
    const { pieceCount } = blob.geometry;
    if (!blob.bitfield.isFull) throw new AppError('PIECE_MISSING', { missing: pieceCount - blob.bitfield.count });
    this.#isEnded = true;
    try {
      const all: Buffer[] = [];
      for (let index = 0; index < pieceCount; index += 1) all.push(await this.#hashOf(index));
      for (let first = 0; first < pieceCount; first += MAX_BATCH_HASHES) {
        this.#publish({
          firstIndex: first,
          hashes: Buffer.concat(all.slice(first, first + MAX_BATCH_HASHES)),
          isComplete: true,
        });
      }
    } finally {
      this.#swarm.endIngest();
    }
    await this.#swarm.complete();
  }

  async withdraw(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    await this.#signed();
    this.#swarm.endIngest();
    this.#publish({ firstIndex: 0, hashes: Buffer.alloc(0), isWithdrawn: true });
    await this.#drop();
  }

  async abandon(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    await this.#signed();
    this.#swarm.endIngest();
  }

  /** Signs what waits without any pause; resolves when that is done. */
  async #signed(): Promise<void> {
    this.#isHurried = true;
    this.#hurry?.();
    await this.#signing;
  }

  #sign(index: number, sha256: Uint8Array): void {
    this.#unsigned.set(index, sha256);
    if (this.#unsigned.size * this.#swarm.blob.geometry.pieceLength >= HASH_BATCH_BYTES) this.#hurry?.();
    this.#signing ??= this.#signAll()
      .catch((error: unknown) => {
        this.#failure = error;
      })
      .finally(() => {
        this.#signing = undefined;
      });
  }

  /** Signs what is there, and then what gathers meanwhile, batch by batch. */
  async #signAll(): Promise<void> {
    while (this.#unsigned.size > 0) {
      const indexes = [...this.#unsigned.keys()].sort((a, b) => a - b);
      const [first = 0] = indexes;
      const run = indexes.slice(0, MAX_BATCH_HASHES).filter((index, at) => index === first + at);
      const hashes = Buffer.concat(run.map((index) => this.#unsigned.get(index) as Uint8Array));
      for (const index of run) this.#unsigned.delete(index);
      this.#publish({ firstIndex: first, hashes });
      // The hash goes out before the have: nobody asks for a piece that cannot be checked.
      for (const index of run) this.#swarm.ingested(index);
      await Promise.all([this.#swarm.hashes.settled(), this.#pause()]);
    }
  }

  async #pause(): Promise<void> {
    if (this.#isHurried) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, hashBatchPauseMs(this.#swarm.connectionCount));
    this.#hurry = resolve;
    await promise;
    clearTimeout(timer);
    this.#hurry = undefined;
  }

  /** What this ingest, or a complete one, has signed for the piece. */
  #signedHash(index: number): Uint8Array | undefined {
    const { list } = this.#swarm.hashes;
    return list.isComplete || list.isCurrent(index) ? list.hashOf(index) : undefined;
  }

  async #hashOf(index: number): Promise<Buffer> {
    const { blob } = this.#swarm;
    const known = this.#signedHash(index);
    if (known !== undefined) return Buffer.from(known);
    // Stored by an earlier ingest, and not handed in again by this one.
    const piece = new Uint8Array(pieceSize(blob.geometry, index));
    await blob.read(index * blob.geometry.pieceLength, piece);
    return hash('sha256', piece, 'buffer');
  }

  #publish(
    part: Pick<HashBatch, 'firstIndex' | 'hashes'> & Partial<Pick<HashBatch, 'isComplete' | 'isWithdrawn'>>,
  ): void {
    const { swarmId, digest, geometry } = this.#swarm.blob;
    const { size, pieceLength } = geometry;
    const startedAt = this.#startedAt;
    const batch = { swarmId, digest, size, pieceLength, startedAt, isComplete: false, isWithdrawn: false, ...part };
    this.#swarm.takeHashes(signHashBatch(batch, this.#signer));
  }

  #demandOpen(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isEnded) throw new AppError('STORE_CLOSED', { reason: 'the ingest has ended' });
  }
}
