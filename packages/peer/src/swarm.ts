import type { AnnounceAnswer, AnnounceRequest, BlockRange, ContentVerifier, HashBatch } from '@sealift/bittorrent';
import { peerIdOf } from '@sealift/bittorrent';
import {
  AppError,
  Bitfield,
  type Clock,
  isAppError,
  type Logger,
  type NodeId,
  type PieceGeometry,
  type SwarmId,
  type Zone,
} from '@sealift/core';
import type { StoredBlob } from '@sealift/store';
import { AddressBook, type PeerAddress } from './address-book.ts';
import type { Announce } from './announcer.ts';
import { Announcer } from './announcer.ts';
import { announceOf } from './blob-announce.ts';
import type { PieceBuffers } from './buffer-pools.ts';
import type { Connection, ConnectionHost } from './connection.ts';
import { FarPieces } from './far-pieces.ts';
import type { Gate } from './gate.ts';
import { HashKeeper } from './hash-keeper.ts';
import { dialTarget, type PeerLimits } from './limits.ts';
import type { Pacer } from './pacer.ts';
import { PieceFetcher } from './piece-fetcher.ts';
import { PieceWaiters } from './piece-waiters.ts';
import { ProgressRelay } from './progress-relay.ts';
import { type AskedAgain, type NextStep, ReaderPatience } from './reader-patience.ts';
import { Seeding } from './seeding.ts';
import type { SessionEvent } from './session.ts';
import { successorTime } from './successor-time.ts';

/** Peers asked for in one announce: more than we dial, so that the choice is fresh. */
const NUMWANT = 50;
/** Bytes of one SHA-256. */
const HASH_LENGTH = 32;
/** How long a swarm stays public after the tracker said so, in announce intervals: one answer may get lost. */
const PUBLIC_INTERVALS = 2.5;

/** Pieces of an earlier process that are hashed before their reader wants them. */
const PROVEN_AHEAD = 4;
/** Longest wait for a tracker that is asked again for a blob whose readers wait, in ms. */
const ASK_AGAIN_TIMEOUT_MS = 5_000;

/** Asks the tracker once more for a blob, with the right of one of its readers. Never rejects. */
export type AskAgain = (options: { signal: AbortSignal }) => Promise<AskedAgain>;

/** What a swarm asks of the engine around it. */
export interface SwarmEnvironment {
  readonly announce: Announce;
  readonly announceGate: Gate;
  readonly buffers: PieceBuffers;
  /** The download limit that all swarms share. */
  readonly downloadPacer: Pacer;
  readonly limits: PeerLimits;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly verifier: () => ContentVerifier;
  /** Our present grant for the swarm. */
  readonly grant: (swarmId: SwarmId) => string | undefined;
  /** Our own id and certificate, and where peers reach us. */
  readonly self: () => {
    nodeId: NodeId;
    x5tS256: string;
    port: number;
    ip: string | undefined;
    denyVersion: number;
  };
  /** Where we stand, if the cluster has zones. */
  readonly zone: Zone | undefined;
  /** Upload slots that the swarm may use, those it uses now included. */
  readonly slots: (swarm: Swarm) => number;
  /** Dials an address; `false` if there is no room for another dial now. */
  readonly dial: (swarm: Swarm, address: PeerAddress) => boolean;
  readonly denied: (list: NonNullable<AnnounceAnswer['deny']>) => void;
  /** A node sent bytes that fail their signed hash. */
  readonly caught: (swarm: Swarm, nodeId: NodeId) => void;
  /** The blob is false: the engine drops swarm and blob. */
  readonly withdrawn: (swarm: Swarm) => void;
}

/** Bytes and peers of one swarm, since it was joined. */
export interface SwarmStats {
  readonly bytesFromPeers: number;
  readonly bytesToPeers: number;
  /** The part of `bytesFromPeers` that came from other zones. */
  readonly bytesFromFar: number;
  readonly peers: number;
}

/** A connection that we dialled. */
interface Dialled {
  readonly address: PeerAddress;
  /** In ms; infinite until both grants are verified. */
  openedAt: number;
  /** When to dial its successor, and whether that was reckoned for a certificate that we had replaced. */
  successor: { readonly at: number; readonly isStale: boolean } | undefined;
}

/** One blob on its way between peers: the connections, what is known of the blob, and those who wait for it. */
export class Swarm implements ConnectionHost {
  readonly swarmId: SwarmId;
  readonly blob: StoredBlob;
  readonly hashes: HashKeeper;
  readonly #environment: SwarmEnvironment;
  readonly #limits: PeerLimits;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #connections = new Set<Connection>();
  /**
   * The pieces that every `wantedCount` reckons with as held. The store sets its own bits earlier, so counting by those
   * would lose a piece that a peer shows in between.
   */
  readonly #held: Bitfield;
  readonly #byNode = new Map<NodeId, Connection>();
  readonly #dialled = new Map<Connection, Dialled>();
  readonly #book: AddressBook;
  readonly #announcer: Announcer;
  readonly #fetcher: PieceFetcher;
  readonly #seeding: Seeding;
  readonly #waiters: PieceWaiters;
  readonly #progress: ProgressRelay<Connection>;
  readonly #far: FarPieces<Connection> | undefined;
  #dialling = 0;
  #readers = 0;
  #idleSince: number;
  /** When fetching last began, in ms. */
  #fetchingSince = Number.NEGATIVE_INFINITY;
  /** When the last tick found something to do, or a read into it ended. */
  #busyAt = Number.NEGATIVE_INFINITY;
  readonly #patience: ReaderPatience;
  /** Of those readers that can, the newest last: its credentials live longest. */
  readonly #askAgain = new Set<AskAgain>();
  readonly #ended = new AbortController();
  /** Whether others fetched it when the tracker last said so; unknown until it does. */
  #isCrowded = true;
  #bytesFromPeers = 0;
  #bytesToPeers = 0;
  #bytesFromFar = 0;
  #unpin: (() => void) | undefined;
  #isStopped = false;
  #public: { readonly infoHash: SwarmId; readonly until: number } | undefined;
  #isIngesting = false;
  #revision = 0;
  readonly #revisedListeners = new Set<(revision: number) => void>();
  #completing: Promise<void> | undefined;

  constructor({ blob, environment }: { blob: StoredBlob; environment: SwarmEnvironment }) {
    const { limits, clock, random } = environment;
    this.swarmId = blob.swarmId;
    this.blob = blob;
    this.#held = Bitfield.fromBytes(blob.bitfield.toBytes(), blob.geometry.pieceCount);
    this.#environment = environment;
    this.#limits = limits;
    this.#clock = clock;
    this.#log = environment.log.child({ swarmId: blob.swarmId });
    this.#idleSince = clock.now();
    this.#patience = new ReaderPatience({ clock, limits });
    this.hashes = new HashKeeper({ blob, verifier: environment.verifier, log: environment.log });
    this.#waiters = new PieceWaiters({ clock });
    this.#progress = new ProgressRelay({ swarmId: blob.swarmId, verifier: environment.verifier, clock });
    const { pieceCount } = blob.geometry;
    const { nodeId } = environment.self();
    this.#far =
      environment.zone === undefined
        ? undefined
        : new FarPieces({ pieceCount, nodeId, clock, isDialling: () => this.#isDialling });
    this.#book = new AddressBook({
      clock,
      random,
      maxAddresses: limits.maxAddressesPerSwarm,
      backoffMs: limits.dialBackoffMs,
      maxBackoffMs: limits.maxDialBackoffMs,
    });
    this.#seeding = new Seeding({
      blob,
      connections: this.#connections,
      limits,
      clock,
      slots: () => environment.slots(this),
    });
    this.#fetcher = new PieceFetcher({
      blob,
      hashes: this.hashes,
      buffers: environment.buffers,
      pacer: environment.downloadPacer,
      connections: this.#connections,
      far: this.#far,
      limits,
      clock,
      random,
      log: environment.log,
      sink: {
        verified: (index) => this.#obtained(index),
        caught: (nodeId) => environment.caught(this, nodeId),
        failed: (error) => this.#diskFailed(error),
        confirmed: (indexes, options) => this.#confirmed(indexes, options),
      },
    });
    this.#announcer = new Announcer({
      announce: environment.announce,
      gate: environment.announceGate,
      subject: {
        describe: () => this.#describe(),
        answered: (answer) => this.#answered(answer),
        isHungryNow: () => this.#isHungry,
      },
      limits,
      clock,
      random,
      log: environment.log,
    });
  }

  get geometry(): PieceGeometry {
    return this.blob.geometry;
  }

  /** The whole blob is here and signed as matching its digest. */
  get isComplete(): boolean {
    return this.blob.bitfield.isFull && this.hashes.list.isComplete;
  }

  get stats(): SwarmStats {
    return {
      bytesFromPeers: this.#bytesFromPeers,
      bytesToPeers: this.#bytesToPeers,
      bytesFromFar: this.#bytesFromFar,
      peers: this.#connections.size,
    };
  }

  /**
   * The whole blob is signed as matching its digest, whatever of it is here. What the store has marked was signed once, even
   * if the signed list is lost or its key is gone.
   */
  get isSignedComplete(): boolean {
    return (this.hashes.list.isComplete || this.blob.isComplete) && !this.#fetcher.isInDoubt;
  }

  /** Peers that are being served. */
  get servedPeers(): number {
    return this.#seeding.served;
  }

  /** This process holds the only copy, as far as it can see. */
  get isSuperSeeding(): boolean {
    return this.#seeding.isSuperSeeding;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** The swarm is being fed by this process. */
  get isIngesting(): boolean {
    return this.#isIngesting;
  }

  /** Nobody needs it, nor has since `time`: what the store knows is enough to begin anew. */
  isIdleSince(time: number): boolean {
    const isHeld = this.#readers > 0 || this.#isIngesting || this.#isStopped || this.publicInfoHash !== undefined;
    return !isHeld && Math.max(this.#idleSince, this.#busyAt) <= time;
  }

  /** When its next announce is due, in ms. `undefined` while the tracker has not heard of it. */
  get announceDueAt(): number | undefined {
    return this.#announcer.dueAt;
  }

  /** Counts up whenever a piece that was here proves false, so that a reader can tell that it was given one. */
  get revision(): number {
    return this.#revision;
  }

  /** Calls `listener` with each new {@link revision}, before a piece can be replaced; returns how to stop that. */
  onRevised(listener: (revision: number) => void): () => void {
    this.#revisedListeners.add(listener);
    return () => this.#revisedListeners.delete(listener);
  }

  /** The grant that we show; the swarm only talks while there is one. */
  get grant(): string {
    const grant = this.#environment.grant(this.swarmId);
    if (grant === undefined) throw new AppError('GRANT_REJECTED', { reason: 'we hold no grant' });
    return grant;
  }

  /**
   * Resolves when piece `index` is verified, and proven since this process runs. Throws `SWARM_STALLED`, `SWARM_WITHDRAWN`,
   * `STORE_FAULT`, or the reason of `signal`.
   */
  async waitForPiece(index: number, { signal }: { signal: AbortSignal }): Promise<void> {
    do await this.#wait(() => this.blob.bitfield.has(index), signal);
    while (!this.blob.proven.has(index) && !(await this.#prove(index)));
    this.#proveAhead(index + 1);
  }

  /** Resolves when the whole blob is signed as matching its digest; throws as {@link waitForPiece}. */
  waitForSignedComplete({ signal }: { signal: AbortSignal }): Promise<void> {
    return this.#wait(() => this.isSignedComplete, signal);
  }

  /** Resolves when the whole blob is here and signed; throws as {@link waitForPiece}. */
  waitForComplete({ signal }: { signal: AbortSignal }): Promise<void> {
    return this.#wait(() => this.isComplete, signal);
  }

  /** The reader needs piece `index` next. */
  setReadPosition(index: number): void {
    this.#fetcher.picker.setReadPosition(index);
  }

  /**
   * Counts a reader, which keeps blob and download alive until the returned function is called (safe to call twice).
   * `askAgain` is used where nobody has what it lacks.
   */
  acquire(askAgain?: AskAgain): () => void {
    const unpin = this.blob.pin();
    this.#readers += 1;
    if (askAgain !== undefined) this.#askAgain.add(askAgain);
    this.download();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      if (askAgain !== undefined) this.#askAgain.delete(askAgain);
      this.#readers -= 1;
      this.#idleSince = this.#clock.now();
      unpin();
    };
  }

  /** Announces the swarm and lets peers in. */
  start(): void {
    this.#announcer.start();
    this.#log.info('swarm_joined', {
      digest: this.blob.digest,
      registry: this.blob.registry,
      isComplete: this.isComplete,
    });
    this.#checkComplete();
  }

  /**
   * Fetches what is missing, as long as there is a reader and for some time after. `peers` are some that the tracker has named
   * already.
   */
  download({ peers = [] }: { peers?: AnnounceAnswer['peers'] } = {}): void {
    this.#idleSince = this.#clock.now();
    if (this.#isStopped || this.#isIngesting || this.#fetcher.isActive || this.isComplete) return;
    this.#unpin ??= this.blob.pin();
    this.#fetcher.isActive = true;
    this.#fetchingSince = this.#idleSince;
    this.#patience.progressed();
    for (const connection of this.#connections) this.#updateInterest(connection);
    this.#announcer.hurry();
    if (peers.length > 0) this.#meet(peers);
  }

  /** This process reads the blob itself from now on. */
  beginIngest(): void {
    this.#isIngesting = true;
    this.#fetcher.isActive = false;
    this.#unpin ??= this.blob.pin();
    if (!this.isComplete) this.#seeding.superSeed();
    for (const connection of this.#connections) this.#updateInterest(connection);
  }

  /** Reading has ended, well or not. */
  endIngest(): void {
    this.#isIngesting = false;
    this.#busyAt = this.#clock.now();
    this.#release();
  }

  /** A piece that was read from the registry is stored and its hash is signed. */
  ingested(index: number): void {
    this.#fetcher.obtained(index);
    this.#obtained(index);
  }

  /**
   * Takes a signed word of the seeder on how far it has read, and passes it on, so that nobody takes a slow registry for a
   * dead swarm. Throws `FRAME_INVALID`.
   */
  takeProgress(payload: Uint8Array, from?: Connection): void {
    if (!this.#progress.take(payload, from)) return;
    this.#patience.progressed();
    for (const connection of [...this.#connections]) this.#tellProgress(connection);
  }

  /** Takes a signed batch from the tracker, from our own ingest or from a peer; throws `HASH_BATCH_INVALID`. */
  takeHashes(record: Uint8Array, from?: Connection): void {
    const taken = this.hashes.take(record, ({ changed, replaced }) => this.#rethink(changed, replaced));
    if (taken === undefined) from?.dropQueuedHashes(record);
    if (taken === undefined || this.#isStopped) return;
    const { batch, replaced } = taken;
    // The end of a blob is what readers wait for; all else is of no use before a have, and leaves before it.
    const isUrgent = from === undefined || batch.isComplete || batch.isWithdrawn || replaced.length > 0;
    const { firstIndex, hashes } = batch;
    const passedOn = isUrgent ? record : Buffer.from(record);
    for (const connection of [...this.#connections]) {
      if (connection === from || !connection.isOpen) continue;
      if (isUrgent) connection.sendHashes(passedOn);
      else connection.queueHashes({ record: passedOn, firstIndex, count: hashes.length / HASH_LENGTH });
    }
    // Nobody but the seeder can make news of this kind, whoever passes it on.
    this.#patience.progressed();
    if (batch.isWithdrawn) this.#environment.withdrawn(this);
    else this.#hashesKnown(batch);
    // Blocks on their way may be of either version. Over new connections, each side knows first what the other has heard.
    if (replaced.length === 0) return;
    const reason = new AppError('PEER_NOT_NEEDED', { reason: 'the blob is being read anew' });
    for (const connection of [...this.#connections]) connection.close(reason, { afterFlush: true });
  }

  /** Dials, keeps deadlines, hands out slots. Called a few times a second. */
  tick(): void {
    this.hashes.flush();
    // Most swarms of a node with a full store are quiet.
    if (this.#connections.size === 0 && !this.#fetcher.isActive && this.#waiters.size === 0) return;
    const now = this.#clock.now();
    this.#busyAt = now;
    this.#endPublic();
    for (const connection of [...this.#connections]) {
      connection.tick();
      this.#tellProgress(connection);
      this.#updateInterest(connection, { isLossTold: true });
    }
    this.#fetcher.tick();
    this.#seeding.tick();
    this.#dial();
    this.#dialSuccessors(now);
    this.#bePatient();
    this.#expireWaiters(now);
    const isAbandoned = this.#readers === 0 && now - this.#idleSince >= this.#limits.readerGraceMs;
    if (this.#fetcher.isActive && isAbandoned) this.#pause();
  }

  /** The info hash under which stock clients may join without a grant; `undefined` while the tracker does not say so. */
  get publicInfoHash(): SwarmId | undefined {
    return this.#public !== undefined && this.#clock.now() < this.#public.until ? this.#public.infoHash : undefined;
  }

  /**
   * Lets stock clients in under `infoHash` without a grant, or in no more. What the tracker said last counts, and not for
   * long: a tracker that is away cannot take it back.
   */
  setPublic(infoHash: SwarmId | undefined, intervalMs: number): void {
    if (this.#public?.infoHash !== infoHash)
      this.#log.info('swarm_public', { infoHash, isPublic: infoHash !== undefined });
    const until = this.#clock.now() + PUBLIC_INTERVALS * intervalMs;
    this.#public = infoHash === undefined ? undefined : { infoHash, until };
    this.#endPublic();
  }

  /** Whether another connection to this node may join, see `ConnectionGate.admit`. Closes the one it replaces. */
  admit(connection: Connection): boolean {
    if (this.#isStopped || this.#environment.grant(this.swarmId) === undefined) return false;
    const present = this.#byNode.get(connection.remote.id);
    if (present === undefined) return this.#connections.size < this.#limits.maxConnectionsPerSwarm;
    // Both ends see the same two dialers, so both keep the same connection; of two by one dialer, the newer.
    if (connection.dialerId > present.dialerId) return false;
    present.close(new AppError('PEER_NOT_NEEDED', { reason: 'replaced by another connection to the same node' }));
    return true;
  }

  opened(connection: Connection): void {
    this.#connections.add(connection);
    this.#byNode.set(connection.remote.id, connection);
    const dialled = this.#dialled.get(connection);
    if (dialled !== undefined) dialled.openedAt = this.#clock.now();
    this.#log.debug('peer_connected', { nodeId: connection.remote.id, address: connection.address });
    this.#seeding.greet(connection);
    for (const record of this.hashes.records) connection.sendHashes(record);
    this.#tellProgress(connection);
    if (this.#far === undefined || connection.isFar) return;
    this.#far.add(connection, { nodeId: connection.remote.id, isSeeder: connection.remote.role === 'seeder' });
    if (this.#far.own.length > 0) connection.sendFetching(this.#far.own);
  }

  event(connection: Connection, event: SessionEvent): void {
    switch (event.type) {
      case 'pieces':
        this.#peerHas(connection);
        return;
      case 'have':
        this.#peerGained(connection, event.index);
        return;
      case 'interest':
        this.#seeding.decideSoon();
        return;
      case 'choked':
        return;
      case 'unchoked':
        this.#fetcher.fill(connection);
        return;
      case 'request':
        this.#seeding.answer(connection, { index: event.index, begin: event.begin, length: event.length });
        return;
      case 'cancel':
        connection.cancelUpload({ index: event.index, begin: event.begin, length: event.length });
        return;
      case 'rejected':
        this.#rejected(connection, { index: event.index, begin: event.begin, length: event.length });
        return;
      case 'hashes':
        this.takeHashes(event.payload, connection);
        return;
      case 'progress':
        this.takeProgress(event.payload, connection);
        return;
      case 'fetching':
        this.#fetcher.leave(this.#far?.claimed(connection, event.indexes) ?? []);
        return;
      case 'sent':
        this.#bytesToPeers += event.length;
        return;
      case 'refuse':
      case 'grant':
        // Answered by the connection itself.
        return;
    }
  }

  blockStarts(connection: Connection, block: BlockRange): Uint8Array | undefined {
    return this.#fetcher.blockStarts(connection, block);
  }

  blockEnded(connection: Connection, block: BlockRange, isStored: boolean): void {
    this.#bytesFromPeers += block.length;
    if (connection.isFar) this.#bytesFromFar += block.length;
    if (isStored) this.#patience.received();
    this.#fetcher.blockEnded(connection, block, isStored);
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    const { pieceLength } = this.geometry;
    const index = Math.floor(offset / pieceLength);
    const isOfOne = offset + into.length <= (index + 1) * pieceLength;
    return isOfOne && this.blob.proven.has(index) ? this.blob.read(offset, into) : this.#readProven(offset, into);
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#byNode.get(connection.remote.id) === connection) this.#byNode.delete(connection.remote.id);
    this.#far?.remove(connection);
    this.#lookForOthers();
    this.#fetcher.lose(connection);
    this.#seeding.leave(connection);
    if (this.#isHungry) this.#announcer.hurry();
  }

  /** A dial has become a connection, which will be reported by {@link dialEnded} too. */
  dialConnected(connection: Connection, address: PeerAddress): void {
    this.#dialled.set(connection, { address, openedAt: Number.POSITIVE_INFINITY, successor: undefined });
  }

  /** A dial has failed, or the connection it became has ended. */
  dialEnded(
    address: PeerAddress,
    connection: Connection | undefined,
    { isUseless = false, isGone = false } = {},
  ): void {
    this.#dialling -= 1;
    const dialled = connection === undefined ? undefined : this.#dialled.get(connection);
    if (connection !== undefined) this.#dialled.delete(connection);
    const livedMs = dialled === undefined ? 0 : this.#clock.now() - dialled.openedAt;
    if (isUseless) this.#book.forget(address);
    else if (livedMs >= this.#limits.maxDialBackoffMs / 6) this.#book.ended(address);
    else this.#book.failed(address, { isGone });
  }

  /** Our grant was replaced: shows it where it is bound to the certificate of the connection. Closes all if it is gone. */
  grantChanged(isBoundTo: (grant: string, x5tS256: string) => boolean): void {
    const grant = this.#environment.grant(this.swarmId);
    for (const connection of [...this.#connections]) {
      if (grant === undefined)
        connection.close(new AppError('GRANT_REJECTED', { reason: 'we hold no grant any more' }));
      else if (connection.isOpen && !connection.session.isPublic && isBoundTo(grant, connection.local.x5tS256))
        connection.sendGrant(grant);
    }
    if (grant !== undefined) this.#announcer.hurry();
    // The registry may say yes to who reads, or its own no.
    else this.#waiters.fail(new AppError('SWARM_STALLED', { reason: 'we hold no grant any more' }));
  }

  /** Closes the connection to a node that is banned or denied. */
  drop(nodeId: NodeId, reason: AppError): void {
    this.#byNode.get(nodeId)?.close(reason);
  }

  /** Calls `visit` for each connection. */
  forEachConnection(visit: (connection: Connection) => void): void {
    for (const connection of [...this.#connections]) visit(connection);
  }

  /**
   * Leaves the swarm: says so to the tracker unless `isQuiet`, closes all connections, fails who waits. Safe to call twice.
   */
  async stop(
    reason = new AppError('SWARM_STALLED', { reason: 'the swarm was left' }),
    { isQuiet = false } = {},
  ): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#ended.abort(reason);
    const isWithdrawn = isAppError(reason, 'SWARM_WITHDRAWN');
    for (const connection of [...this.#connections]) connection.close(reason, { afterFlush: isWithdrawn });
    this.#waiters.fail(reason);
    this.#seeding.stop();
    await Promise.all([this.#announcer.stop({ isQuiet }), this.#fetcher.stop(), this.#completing]);
    await this.hashes.settled();
    this.#unpin?.();
    this.#unpin = undefined;
    this.#log.info('swarm_left', { ...this.stats });
  }

  /** Some dials have neither failed nor led to an open connection yet. */
  get #isDialling(): boolean {
    const opened = [...this.#dialled.values()].filter(({ openedAt }) => Number.isFinite(openedAt)).length;
    return this.#dialling > opened;
  }

  get #isHungry(): boolean {
    return this.#fetcher.isActive && this.#connections.size < this.#limits.wantedConnections;
  }

  #wait(isMet: () => boolean, signal: AbortSignal): Promise<void> {
    if (this.hashes.list.isWithdrawn) return Promise.reject(new AppError('SWARM_WITHDRAWN'));
    if (isMet()) return Promise.resolve();
    if (this.#isStopped) return Promise.reject(new AppError('SWARM_STALLED', { reason: 'the swarm was left' }));
    this.download();
    return this.#waiters.wait(isMet, { signal });
  }

  /** Whether a piece of an earlier process is still what it was; fetches it anew if not. */
  async #prove(index: number): Promise<boolean> {
    if (!this.blob.bitfield.has(index)) return false;
    if (await this.blob.prove(index)) return true;
    if (this.#isStopped) return false;
    this.#lost(index);
    this.#completing = undefined;
    this.#fetcher.hashesKnown(index, 1);
    this.download();
    return false;
  }

  /** A reader will want these soon, and hashing one takes longer than handing out the one before. */
  #proveAhead(first: number): void {
    const { bitfield, proven } = this.blob;
    for (let index = first; index < Math.min(first + PROVEN_AHEAD, bitfield.length); index += 1) {
      // What fails is tried again, and told, when it is that piece's turn.
      if (bitfield.has(index) && !proven.has(index)) this.#prove(index).catch(() => {});
    }
  }

  async #readProven(offset: number, into: Uint8Array): Promise<void> {
    const { pieceLength } = this.geometry;
    for (let index = Math.floor(offset / pieceLength); index * pieceLength < offset + into.length; index += 1) {
      // Of what is missing the store itself says so.
      if (!this.blob.proven.has(index)) await this.#prove(index);
    }
    await this.blob.read(offset, into);
  }

  #describe(): AnnounceRequest | undefined {
    const state = {
      isComplete: this.isComplete,
      uploaded: this.#bytesToPeers,
      downloaded: this.#bytesFromPeers,
      numwant: this.#fetcher.isActive ? NUMWANT : 0,
    };
    return announceOf(this.blob, state, this.#environment);
  }

  #answered({ peers, incomplete, deny, publicInfoHash, intervalMs }: AnnounceAnswer): void {
    if (deny !== undefined) this.#environment.denied(deny);
    // One of them is this node.
    this.#isCrowded = incomplete > 1;
    this.#lookForOthers();
    this.setPublic(publicInfoHash, intervalMs);
    this.#patience.answered({ isEmpty: this.#meet(peers) === 0 });
  }

  /** Learns where peers are, dials those that are needed, and returns how many there are beside this node. */
  #meet(peers: AnnounceAnswer['peers']): number {
    const own = peerIdOf(this.#environment.self().nodeId).toString('hex');
    const others = peers
      .map(({ host, port, peerId }) => {
        const id = peerId === undefined || peerId.length !== 20 ? undefined : Buffer.from(peerId).toString('hex');
        return { host, port, peerId: id };
      })
      .filter(({ peerId }) => peerId !== own);
    for (const address of others) this.#book.add(address);
    this.#dial();
    return others.length;
  }

  /** Whether anybody else fetches the blob, as far as the tracker says and those show to whom we are connected. */
  #lookForOthers(): void {
    const lacksNothing = ({ remote, session }: Connection): boolean =>
      remote.role === 'seeder' || session.pieces?.isFull === true;
    this.#fetcher.picker.isAlone = !this.#isCrowded && [...this.#connections].every(lacksNothing);
  }

  /** Ends the connections without a grant once the swarm is not public, or not under that name. */
  #endPublic(): void {
    if (this.publicInfoHash !== undefined) return;
    for (const connection of [...this.#connections]) {
      if (connection.session.isPublic)
        connection.close(new AppError('PEER_NOT_NEEDED', { reason: 'the swarm is not public any more' }));
    }
  }

  #dial(): void {
    if (!this.#fetcher.isActive || this.#isStopped) return;
    const isNews = this.#isUnconnected();
    // Those dialled are in both counts once they are open.
    const inbound = [...this.#connections].filter((connection) => !this.#dialled.has(connection)).length;
    const target = dialTarget(this.#limits, {
      fetchingMs: this.#clock.now() - this.#fetchingSince,
      isZoned: this.#environment.zone !== undefined,
    });
    while (this.#dialling + inbound < target) {
      const address = this.#book.next(isNews);
      if (address === undefined) return;
      if (!this.#environment.dial(this, address)) {
        this.#book.ended(address);
        return;
      }
      this.#dialling += 1;
    }
  }

  #isUnconnected(): (address: PeerAddress) => boolean {
    const connected = new Set([...this.#byNode.keys()].map((nodeId) => peerIdOf(nodeId).toString('hex')));
    return ({ peerId }) => peerId === undefined || !connected.has(peerId);
  }

  /** A connection ends with its certificates and grants: another to the same peer must be there before. */
  #dialSuccessors(now: number): void {
    if (this.#isStopped) return;
    const { x5tS256 } = this.#environment.self();
    for (const [connection, dialled] of this.#dialled) {
      if (!Number.isFinite(dialled.openedAt) || !connection.isOpen) continue;
      const isStale = connection.local.x5tS256 !== x5tS256;
      const life = { openedAt: dialled.openedAt, endsAt: connection.endsAt };
      // The peer's later grant may have prolonged it, so only a stale one is reckoned once: by chance.
      if (dialled.successor === undefined || dialled.successor.isStale !== isStale || !isStale) {
        const at = successorTime(life, { now, isStale, random: this.#environment.random });
        dialled.successor = { at, isStale };
      }
      if (now < dialled.successor.at || !this.#environment.dial(this, dialled.address)) continue;
      this.#dialling += 1;
      // If this fails it is tried again, later, and in the end like any address of the book.
      dialled.openedAt = now;
      dialled.successor = undefined;
    }
  }

  #peerHas(connection: Connection): void {
    const { pieces } = connection.session;
    if (pieces === undefined) return;
    connection.handle = this.#fetcher.picker.addPeer(pieces);
    this.#lookForOthers();
    this.#far?.holds(connection, pieces);
    for (let index = 0; index < pieces.length; index += 1) {
      if (pieces.has(index) && !this.#held.has(index)) connection.wantedCount += 1;
    }
    this.#seeding.join(connection);
    this.#updateInterest(connection);
    this.#closeIfUseless(connection);
  }

  #peerGained(connection: Connection, index: number): void {
    if (connection.handle === undefined || !this.#fetcher.picker.gained(connection.handle, index)) return;
    this.#far?.gained(connection, index);
    if (!this.#held.has(index)) {
      connection.wantedCount += 1;
      this.#updateInterest(connection);
      this.#fetcher.fill(connection);
    }
    this.#seeding.peerGained(connection, index);
    this.#closeIfUseless(connection);
  }

  #rejected(connection: Connection, block: BlockRange): void {
    if (!this.#fetcher.rejected(connection, block)) return;
    this.#far?.lost(connection, block.index);
    if (this.#held.has(block.index)) return;
    connection.wantedCount -= 1;
    this.#updateInterest(connection);
  }

  /**
   * Tells the peer what has changed in our interest. While we fetch, that it has nothing for us waits for the next tick: in a
   * swarm where all move on together it has something again in a moment, and each change costs both ends several messages.
   */
  #updateInterest(connection: Connection, { isLossTold = connection.isFar } = {}): void {
    const { isActive } = this.#fetcher;
    const isWanted = isActive && connection.wantedCount > 0 && (!connection.isFar || this.#wantsFar(connection));
    if (isWanted || isLossTold || !isActive) connection.setInterested(isWanted);
  }

  /** A far peer would give us a slot for nothing if we only wanted of it what we get from others of our zone. */
  #wantsFar({ handle }: Connection): boolean {
    return handle !== undefined && this.#far?.wants(handle.pieces, this.#held) === true;
  }

  #obtained(index: number): void {
    if (this.#isStopped || !this.#hold(index)) return;
    this.#patience.progressed();
    this.#seeding.obtained(index);
    this.#waiters.settle();
    this.#checkComplete();
  }

  /** `false` if the piece was held before. */
  #hold(index: number): boolean {
    if (!this.#held.add(index)) return false;
    this.#far?.obtained(index);
    for (const connection of this.#connections) {
      if (connection.handle?.pieces.has(index) !== true) continue;
      connection.wantedCount -= 1;
      this.#updateInterest(connection);
    }
    return true;
  }

  #hashesKnown({ firstIndex, hashes }: HashBatch): void {
    this.#fetcher.hashesKnown(firstIndex, hashes.length / HASH_LENGTH);
    this.#waiters.settle();
    this.#checkComplete();
    this.#fetcher.fillAll();
  }

  /** Pieces that are here lose their place until they prove to match a hash that they were not stored under. */
  #rethink(changed: readonly number[], replaced: readonly number[]): Promise<void> | undefined {
    // Our own ingest stores a piece before it signs its hash, and looks at what it finds by itself.
    if (this.#isStopped || this.#isIngesting) return undefined;
    const held = changed.filter((index) => this.blob.bitfield.has(index));
    if (replaced.length > 0) this.#revise();
    this.#fetcher.restart(replaced);
    if (held.length === 0) return undefined;
    const confirming = this.#fetcher.confirm(held);
    for (const index of held) this.#lost(index);
    return confirming;
  }

  #revise(): void {
    this.#revision += 1;
    for (const listener of this.#revisedListeners) listener(this.#revision);
  }

  #lost(index: number): void {
    if (!this.#held.delete(index)) return;
    for (const connection of this.#connections) {
      if (connection.handle?.pieces.has(index) !== true) continue;
      connection.wantedCount += 1;
      this.#updateInterest(connection);
    }
  }

  #confirmed(indexes: readonly number[], { areSomeFalse }: { areSomeFalse: boolean }): void {
    if (areSomeFalse) this.#revise();
    if (this.#isStopped) return;
    // Peers have been told of them before.
    for (const index of indexes) this.#hold(index);
    this.#waiters.settle();
    this.#checkComplete();
  }

  #tellProgress(connection: Connection): void {
    // A blob that is signed as complete has been read.
    if (!connection.isOpen || this.hashes.list.isComplete) return;
    const payload = this.#progress.next(connection);
    if (payload !== undefined) connection.sendProgress(payload);
  }

  #checkComplete(): void {
    if (!this.isComplete || this.blob.isComplete || this.#completing !== undefined || this.#isIngesting) return;
    this.#completing = this.complete().catch((error: unknown) => {
      this.#log.debug('store_write_failed', { error });
    });
  }

  /** All is here and signed: remembers it, tells the tracker, and goes on as a seeder. */
  async complete(): Promise<void> {
    this.#fetcher.isActive = false;
    for (const connection of this.#connections) this.#updateInterest(connection);
    await this.blob.markComplete();
    this.#waiters.settle();
    this.#announcer.completed();
    this.forEachConnection((connection) => this.#closeIfUseless(connection));
    this.#release();
  }

  /** Two peers that both hold all have nothing to say to each other, and others may need the places. */
  #closeIfUseless(connection: Connection): void {
    if (!this.isComplete || connection.handle?.pieces.isFull !== true) return;
    connection.close(new AppError('PEER_NOT_NEEDED', { reason: 'both sides hold all' }), { afterFlush: true });
  }

  #pause(): void {
    this.#fetcher.isActive = false;
    for (const connection of this.#connections) this.#updateInterest(connection);
    this.#release();
  }

  /** The blob may be evicted again, unless a reader holds it. */
  #release(): void {
    this.#unpin?.();
    this.#unpin = undefined;
  }

  /** Nobody whom we are connected to has anything that we lack. */
  get #isLonely(): boolean {
    return ![...this.#connections].some(({ wantedCount }) => wantedCount > 0);
  }

  /** Readers wait: as long as somebody may have something for them. */
  #bePatient(): void {
    if (this.#waiters.size === 0) {
      if (this.#readers === 0) this.#patience.rest();
      return;
    }
    const step: NextStep = this.#patience.next({
      isLonely: this.#isLonely,
      hasSeeder: [...this.#connections].some(({ remote }) => remote.role === 'seeder'),
      isDialling: this.#isDialling,
      areAllGone: this.#book.areAllGone(this.#isUnconnected()),
    });
    if (step === 'announce') this.#announcer.ask();
    else if (step === 'announce-again') this.#announcer.ask({ isAtOnce: true });
    else if (step === 'ask-again') void this.#askTrackerAgain();
    else if (step === 'give-up') this.#giveUp('nobody is left who has it');
  }

  async #askTrackerAgain(): Promise<void> {
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(ASK_AGAIN_TIMEOUT_MS)]);
    const said = await [...this.#askAgain].at(-1)?.({ signal });
    this.#patience.askedAgain(said ?? 'unknown');
  }

  #giveUp(reason: string): void {
    this.#log.warn('swarm_stalled', { reason, readers: this.#waiters.size, peers: this.#connections.size });
    this.#waiters.fail(new AppError('SWARM_STALLED', { reason }));
    // Whoever comes next asks anew.
    this.#patience.rest();
  }

  #expireWaiters(now: number): void {
    if (this.#waiters.size === 0) return;
    const isLonely = this.#isLonely && this.#announcer.hasFailed;
    const { stallTimeoutMs, lonelyStallTimeoutMs } = this.#limits;
    const before = now - (isLonely ? lonelyStallTimeoutMs : stallTimeoutMs);
    const reason = isLonely ? 'nobody has it and no tracker answers' : 'nothing arrived';
    const makeError = (): AppError => new AppError('SWARM_STALLED', { reason });
    const expired = this.#waiters.expire(before, this.#patience.progressAt, makeError);
    if (expired > 0) this.#log.warn('swarm_stalled', { reason, readers: expired, peers: this.#connections.size });
  }

  #diskFailed(cause: unknown): void {
    this.#waiters.fail(new AppError('SWARM_STALLED', { reason: 'the store refused a piece' }, { cause }));
  }
}
