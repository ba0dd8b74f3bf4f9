import type { BlockRange } from '@sealift/bittorrent';
import { AppError, BLOCK_LENGTH, type Clock, type Logger, type NodeId } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';
import type { PieceBuffers } from './buffer-pools.ts';
import type { Connection } from './connection.ts';
import type { FarPieces } from './far-pieces.ts';
import type { HashKeeper } from './hash-keeper.ts';
import type { PeerLimits } from './limits.ts';
import type { Pacer } from './pacer.ts';
import { Picker } from './picker.ts';
import type { PieceAssembly } from './piece-assembly.ts';
import { RequestScheduler } from './request-scheduler.ts';
import { Suspects } from './suspects.ts';

/**
 * Bytes of whole pieces that wait for the store, beyond which no piece is started. A store that is behind gets no faster by
 * a longer queue, and few buffers stay in the CPU's cache where many do not.
 */
const MAX_VERIFYING_BYTES = 4 * 1024 * 1024;
/** Pause after the disk refused a piece, in ms: fetching goes on only if the disk may have recovered. */
const DISK_PAUSE_MS = 10_000;

/** Blocks that a window holds at least, so that the peer is never without one to send. */
const BLOCKS_PER_WINDOW = 8;

/** No piece has it. */
const NO_HASH = new Uint8Array(32);

/** What a fetcher tells its swarm. */
export interface FetcherSink {
  /** The piece is verified and stored. */
  verified(index: number): void;
  /** A node sent bytes that fail the signed hash. */
  caught(nodeId: NodeId): void;
  /** The disk refused a piece. */
  failed(error: unknown): void;
  /** Pieces that were in doubt have been looked at: these are as their hash says. */
  confirmed(indexes: readonly number[], options: { areSomeFalse: boolean }): void;
}

/**
 * The downloading half of a swarm: asks peers for blocks, puts them together, has each piece verified by the store before
 * anybody hears of it, and finds out who sent a wrong one.
 */
export class PieceFetcher {
  readonly picker: Picker;
  readonly #blob: StoredBlob;
  readonly #hashes: HashKeeper;
  readonly #buffers: PieceBuffers;
  readonly #pacer: Pacer;
  /** What each connection waits for its turn to ask with. */
  readonly #turns = new Map<Connection, () => void>();
  readonly #far: FarPieces<Connection> | undefined;
  readonly #limits: PeerLimits;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #sink: FetcherSink;
  readonly #scheduler: RequestScheduler<Connection>;
  readonly #suspects: Suspects;
  readonly #connections: ReadonlySet<Connection>;
  readonly #maxPieces: number;
  readonly #maxVerifying: number;
  /** Whole pieces on their way through the store, by index. */
  readonly #verifying = new Map<number, Promise<void>>();
  readonly #retry = (): void => this.fillAll();
  #farTimer: NodeJS.Timeout | undefined;
  /** Whether anybody wants the blob here. */
  isActive = false;
  #pausedUntil = 0;
  #doubts = 0;

  constructor(options: {
    blob: StoredBlob;
    hashes: HashKeeper;
    buffers: PieceBuffers;
    /** The download limit that all swarms of the engine share: it holds requests back, and so what comes in. */
    pacer: Pacer;
    connections: ReadonlySet<Connection>;
    /** What to fetch from other zones, where we stand in one. */
    far: FarPieces<Connection> | undefined;
    limits: PeerLimits;
    clock: Clock;
    random: () => number;
    log: Logger;
    sink: FetcherSink;
  }) {
    const { blob, limits, clock, random } = options;
    this.#blob = blob;
    this.#hashes = options.hashes;
    this.#buffers = options.buffers;
    this.#pacer = options.pacer;
    this.#connections = options.connections;
    this.#far = options.far;
    this.#limits = limits;
    this.#clock = clock;
    this.#log = options.log;
    this.#sink = options.sink;
    this.#suspects = new Suspects({ geometry: blob.geometry });
    // While one is written the next must be there.
    this.#maxVerifying = Math.max(2, Math.floor(MAX_VERIFYING_BYTES / blob.geometry.pieceLength));
    this.#maxPieces = Math.max(2, Math.floor(limits.maxPieceBytesPerSwarm / blob.geometry.pieceLength));
    this.picker = new Picker({ pieceCount: blob.geometry.pieceCount, random });
    this.#scheduler = new RequestScheduler({
      geometry: blob.geometry,
      picker: this.picker,
      clock,
      limits,
      takeBuffer: () => this.#takeBuffer(),
      mustBeExclusive: (index) => this.#suspects.has(index),
    });
    this.hashesKnown(0, blob.geometry.pieceCount);
  }

  /** Whether pieces are being held against a hash that came after them; see {@link confirm}. */
  get isInDoubt(): boolean {
    return this.#doubts > 0;
  }

  /**
   * The signed hashes of these pieces came after the pieces, or have changed: what is here counts again once it proves to
   * be held under them, and is fetched anew if not.
   */
  async confirm(indexes: readonly number[]): Promise<void> {
    const held = indexes.filter((index) => this.#blob.bitfield.has(index) && !this.#verifying.has(index));
    if (held.length === 0) return;
    this.#doubts += 1;
    const confirming = this.#confirm(held);
    for (const index of held) this.#verifying.set(index, confirming);
    await confirming;
  }

  /** What has come of these pieces is of no use: their signed hash has changed. */
  restart(indexes: readonly number[]): void {
    for (const index of indexes) {
      const assembly = this.#scheduler.finish(index);
      if (assembly !== undefined) this.#buffers.give(assembly.buffer);
    }
  }

  /** Pieces `[first, first + count)` may be fetched where their hash is known and they are not here. */
  hashesKnown(first: number, count: number): void {
    for (let index = first; index < first + count; index += 1) {
      // The last batch says every hash once more, also of pieces that are on their way.
      if (
        !this.#isUnderWay(index) &&
        !this.#blob.bitfield.has(index) &&
        this.#hashes.list.hashOf(index) !== undefined
      ) {
        this.picker.want(index);
      }
    }
  }

  /** The piece came by another way. */
  obtained(index: number): void {
    this.picker.unwant(index);
  }

  /** Asks the peer for as much as its window has room for. */
  fill(connection: Connection): void {
    const { handle, outstanding, session } = connection;
    const now = this.#clock.now();
    if (!this.isActive || handle === undefined || session.isChoked || !connection.isOpen) return;
    if (now < this.#pausedUntil || connection.wantedCount === 0) return;
    // A snubbed peer proves itself with one block at a time.
    const window =
      connection.snubs > 0 ? BLOCK_LENGTH : Math.min(connection.window.bytes, session.requestLimit * BLOCK_LENGTH);
    const blockLength = connection.window.blockLength(
      Math.min(window / BLOCKS_PER_WINDOW, session.blockLimit, this.#pacer.turnBytes),
    );
    // The last block chosen may go beyond the room by nearly its length.
    const room = window - outstanding.bytes - (blockLength - BLOCK_LENGTH);
    // In lumps: one write for many requests, and whole runs of blocks for the other side to join.
    if (room <= 0 || (outstanding.count > 0 && room < window / 4)) return;
    const wasIdle = outstanding.count === 0;
    const isLastStretch = this.#hashes.list.knownCount === this.#blob.geometry.pieceCount;
    const turn = this.#turnOf(connection);
    if (!this.#pacer.enter(turn)) return;
    const bytes = Math.min(room, this.#pacer.turnBytes);
    const far = connection.isFar ? this.#far : undefined;
    const mayAsk = far === undefined ? undefined : (index: number): boolean => far.mayFetch(index);
    const blocks = this.#scheduler.choose(connection, handle, bytes, { isLastStretch, blockLength, mayAsk });
    if (far !== undefined) this.#fetchFar(far, blocks, now);
    this.#pacer.take(bytesOf(blocks));
    if (wasIdle) connection.lastBlockAt = now;
    connection.request(blocks);
    // The turn was too short for its window: nothing else would come back to it before a block does.
    if (bytes < room && blocks.length > 0) setImmediate(turn);
  }

  fillAll(): void {
    for (const connection of this.#connections) this.fill(connection);
  }

  /** Where a block goes that the session has let through. */
  blockStarts(connection: Connection, block: BlockRange): Uint8Array | undefined {
    return this.#scheduler.assembly(block.index)?.begin(block, connection);
  }

  blockEnded(connection: Connection, block: BlockRange, isStored: boolean): void {
    const { index, length } = block;
    const now = this.#clock.now();
    const requestedAt = connection.outstanding.settle(block);
    connection.lastBlockAt = now;
    connection.snubs = 0;
    connection.givenSinceRound += length;
    if (requestedAt !== undefined) connection.window.received(length, requestedAt);
    if (connection.outstanding.count === 0) connection.window.idle();
    const assembly = this.#scheduler.assembly(index);
    if (assembly !== undefined) {
      if (requestedAt !== undefined) assembly.unask(block);
      if (isStored) this.#blockIsHere(connection, assembly, block, now);
    }
    this.fill(connection);
  }

  /** The peer will not send a block that we asked for. Tells whether it has given up the piece since it showed it. */
  rejected(connection: Connection, block: BlockRange): boolean {
    this.#scheduler.release(connection, [block], { isGone: false });
    this.#pacer.giveBack(block.length);
    // One that chokes us may still have it; one that serves us has not.
    if (connection.session.isChoked || connection.handle === undefined) return false;
    return this.picker.lost(connection.handle, block.index);
  }

  /** The connection has ended. */
  lose(connection: Connection): void {
    const { arriving, handle, outstanding } = connection;
    if (arriving !== undefined) this.#scheduler.assembly(arriving.index)?.abort(arriving);
    this.#scheduler.release(connection, outstanding.blocks(), { isGone: true });
    this.#pacer.giveBack(outstanding.bytes);
    this.#pacer.forget(this.#turnOf(connection));
    this.#turns.delete(connection);
    if (handle !== undefined) this.picker.removePeer(handle);
    this.fillAll();
  }

  /** Looks for peers that owe us too long, and for pieces that hold memory to no end. */
  tick(): void {
    const now = this.#clock.now();
    for (const connection of [...this.#connections]) {
      const isLate = connection.outstanding.count > 0 && now - connection.lastBlockAt >= this.#limits.requestTimeoutMs;
      if (isLate) this.#snub(connection, now);
    }
    this.#tellFetching(this.#far?.repeats((index) => this.#isUnderWay(index)) ?? []);
    if (this.#buffers.isShort || !this.isActive) {
      for (const { buffer } of this.#scheduler.dropIdle()) this.#buffers.give(buffer);
    }
    this.fillAll();
  }

  /** Gives all memory back. Call it when all connections are closed. */
  async stop(): Promise<void> {
    this.isActive = false;
    clearTimeout(this.#farTimer);
    for (const { buffer } of this.#scheduler.dropAll()) this.#buffers.give(buffer);
    await Promise.all(this.#verifying.values());
  }

  #blockIsHere(connection: Connection, assembly: PieceAssembly<Connection>, block: BlockRange, now: number): void {
    assembly.end(block, connection, now);
    if (assembly.isAsked(block)) this.#cancelOthers(assembly);
    if (!assembly.isWhole) return;
    this.#scheduler.finish(assembly.index);
    this.#verifying.set(assembly.index, this.#verify(assembly));
  }

  /** Takes back what others were asked for and is here now. */
  #cancelOthers(assembly: PieceAssembly<Connection>): void {
    for (const other of this.#connections) {
      const blocks = [...other.outstanding.blocks()].filter(
        (block) => block.index === assembly.index && assembly.isHere(block),
      );
      for (const block of blocks) {
        other.outstanding.giveUp(block);
        assembly.unask(block);
        other.send({ type: 'cancel', ...block });
      }
      if (blocks.length > 0) this.fill(other);
    }
  }

  async #verify({ index, buffer, senders }: PieceAssembly<Connection>): Promise<void> {
    const nodes = senders.map((sender) => sender?.remote.id);
    const { byteLength } = buffer;
    const expected = this.#hashes.list.hashOf(index);
    try {
      if (expected === undefined) throw new AppError('PIECE_REJECTED', { reason: 'its hash is not known' });
      // A copy, because a newer ingest may change the list meanwhile.
      const sha256 = Buffer.from(expected);
      const written = await this.#blob.writePiece(index, buffer, sha256);
      this.#verifying.delete(index);
      if (this.#isOutdated(index, sha256)) {
        this.#buffers.give(written.buffer);
        // Nobody's fault: a newer ingest has changed the hash meanwhile.
        if (written.verified) await this.confirm([index]);
        else this.hashesKnown(index, 1);
        return;
      }
      const culprits = this.#judge(index, written, nodes);
      this.#buffers.give(written.buffer);
      if (written.verified) this.#sink.verified(index);
      else this.picker.want(index);
      for (const culprit of culprits) this.#sink.caught(culprit);
    } catch (error) {
      this.#verifying.delete(index);
      // The store keeps the buffer of a write that failed.
      this.#buffers.forfeit(byteLength);
      this.#pausedUntil = this.#clock.now() + DISK_PAUSE_MS;
      if (!this.#blob.bitfield.has(index)) this.picker.want(index);
      this.#log.debug('store_write_failed', { swarmId: this.#blob.swarmId, pieceIndex: index, error });
      this.#sink.failed(error);
    }
    this.fillAll();
  }

  async #confirm(indexes: readonly number[]): Promise<void> {
    const pieces = indexes.map((index) => ({ index, sha256: Buffer.from(this.#hashes.list.hashOf(index) ?? NO_HASH) }));
    try {
      await this.#blob.confirm(pieces);
    } catch (error) {
      this.#log.debug('store_write_failed', { swarmId: this.#blob.swarmId, error });
      this.#sink.failed(error);
    }
    this.#doubts -= 1;
    for (const index of indexes) this.#verifying.delete(index);
    const outdated = pieces.filter(({ index, sha256 }) => this.#isOutdated(index, sha256)).map(({ index }) => index);
    const confirmed = indexes.filter((index) => this.#blob.bitfield.has(index) && !outdated.includes(index));
    const again = this.confirm(outdated);
    for (const index of indexes) this.hashesKnown(index, 1);
    this.#sink.confirmed(confirmed, { areSomeFalse: confirmed.length < indexes.length });
    this.fillAll();
    await again;
  }

  #isOutdated(index: number, sha256: Buffer): boolean {
    const present = this.#hashes.list.hashOf(index);
    return present !== undefined && !sha256.equals(present);
  }

  #judge(
    index: number,
    { verified, buffer }: { verified: boolean; buffer: ArrayBuffer },
    nodes: readonly (NodeId | undefined)[],
  ): readonly NodeId[] {
    if (verified) return this.#suspects.verified(index, buffer);
    const culprit = this.#suspects.failed(index, buffer, nodes);
    const senders = [...new Set(nodes)].join(' ');
    this.#log.warn('piece_rejected', { swarmId: this.#blob.swarmId, pieceIndex: index, senders });
    return culprit === undefined ? [] : [culprit];
  }

  #snub(connection: Connection, now: number): void {
    if (connection.arriving !== undefined) {
      // Its block has a place that nobody else may fill as long as the connection lives.
      connection.close(new AppError('PEER_PROTOCOL', { reason: 'stopped in the middle of a block' }));
      return;
    }
    connection.snubs += 1;
    connection.lastBlockAt = now;
    if (connection.snubs >= this.#limits.maxSnubs) {
      connection.close(new AppError('PEER_PROTOCOL', { reason: 'shows pieces and does not send them' }));
      return;
    }
    const blocks = [...connection.outstanding.blocks()];
    for (const block of blocks) {
      connection.outstanding.giveUp(block);
      connection.send({ type: 'cancel', ...block });
    }
    this.#scheduler.release(connection, blocks, { isGone: true });
  }

  /** Takes back what was asked of far peers for these pieces: another node of our zone is fetching them. */
  leave(indexes: readonly number[]): void {
    for (const connection of this.#connections) {
      if (!connection.isFar) continue;
      for (const block of [...connection.outstanding.blocks()]) {
        const isComing = connection.arriving?.index === block.index && connection.arriving.begin === block.begin;
        if (isComing || !indexes.includes(block.index)) continue;
        connection.outstanding.giveUp(block);
        connection.send({ type: 'cancel', ...block });
        this.#scheduler.release(connection, [block], { isGone: false });
      }
    }
  }

  #isUnderWay(index: number): boolean {
    return this.#scheduler.assembly(index) !== undefined || this.#verifying.has(index);
  }

  #fetchFar(far: FarPieces<Connection>, blocks: readonly BlockRange[], now: number): void {
    this.#tellFetching(far.begin(new Set(blocks.map(({ index }) => index))));
    const nextAt = far.takeNextAt();
    if (this.#farTimer !== undefined || !Number.isFinite(nextAt)) return;
    this.#farTimer = setTimeout(
      () => {
        this.#farTimer = undefined;
        for (const connection of this.#connections) if (connection.isFar) this.fill(connection);
      },
      nextAt - now + 1,
    );
  }

  #tellFetching(indexes: readonly number[]): void {
    if (indexes.length === 0) return;
    for (const connection of this.#connections) {
      if (!connection.isFar && connection.isOpen) connection.sendFetching(indexes);
    }
  }

  #turnOf(connection: Connection): () => void {
    let turn = this.#turns.get(connection);
    if (turn === undefined) {
      turn = () => this.fill(connection);
      this.#turns.set(connection, turn);
    }
    return turn;
  }

  #takeBuffer(): ArrayBuffer | undefined {
    const inUse = this.#scheduler.startedCount + this.#verifying.size;
    if (inUse >= this.#maxPieces || this.#verifying.size >= this.#maxVerifying) return undefined;
    const buffer = this.#buffers.take(this.#blob.geometry.pieceLength, { isOwed: inUse < 2 });
    if (buffer === undefined) this.#buffers.wait(this.#retry);
    return buffer;
  }
}

function bytesOf(blocks: readonly BlockRange[]): number {
  return blocks.reduce((sum, block) => sum + block.length, 0);
}
