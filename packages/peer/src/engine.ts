import type { SecureContext, TLSSocket } from 'node:tls';
import {
  type AnnounceAnswer,
  type ContentSigner,
  type ContentVerifier,
  createContentVerifier,
  type DenyList as DenyNews,
  peerIdOf,
} from '@sealift/bittorrent';
import {
  AppError,
  type Clock,
  type ClusterId,
  type Digest,
  isAppError,
  type Logger,
  type NodeId,
  type PieceGeometry,
  parseClusterId,
  type RegistryHost,
  type SwarmId,
  type Zone,
} from '@sealift/core';
import {
  type Identity,
  identityOfCertificate,
  identityOfSocket,
  namesOfAnchors,
  peerClientContext,
} from '@sealift/pki';
import type { BlobStore, StoredBlob } from '@sealift/store';
import { type GrantClaims, GrantVerifier } from '@sealift/tracker-api';
import type { PeerAddress } from './address-book.ts';
import type { Announce } from './announcer.ts';
import { BanList } from './ban-list.ts';
import { PieceBuffers, UploadBuffers } from './buffer-pools.ts';
import { Connection, type ConnectionGate, uploadBufferOptions } from './connection.ts';
import { DenyList } from './deny-list.ts';
import { Dialer, type DialledSocket } from './dialer.ts';
import { Gate } from './gate.ts';
import { type Ingest, SwarmIngest } from './ingest.ts';
import { DEFAULT_LIMITS, type PeerLimits } from './limits.ts';
import { Listener } from './listener.ts';
import { isBoundTo } from './own-grant.ts';
import { Pacer } from './pacer.ts';
import type { GrantSource, IdentitySource, TokenCheck } from './ports.ts';
import { Sleepers } from './sleepers.ts';
import { Swarm, type SwarmEnvironment } from './swarm.ts';

/** Roles that trade pieces; a tracker's certificate is good for the tracker only. */
const PEER_ROLES = ['node', 'seeder'] as const;
/** What a dial fails with where nobody listens, or no such host is. */
const GONE_ERRNOS: ReadonlySet<string | undefined> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
]);

/** What a {@link PeerEngine} needs. */
export interface PeerEngineOptions {
  readonly identity: IdentitySource;
  readonly grants: GrantSource;
  /** Started by its owner before the engine, and stopped after it. */
  readonly store: BlobStore;
  readonly announce: Announce;
  /** Tells the tracker about a node that sent bytes which fail their signed hash. */
  readonly report?: (swarmId: SwarmId, nodeId: NodeId) => void;
  readonly listen: { readonly host: string; readonly port: number };
  /** Where peers reach us, if that is not the address of our announces and the port we listen on. */
  readonly advertise?: { readonly host?: string; readonly port?: number };
  /** Shows and demands the registry's own token besides the grant. @default grants alone */
  readonly tokenCheck?: TokenCheck | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where this process stands, in a cluster of several zones: what others of its zone have is not fetched from afar. */
  readonly zone?: Zone | undefined;
  readonly limits?: Partial<PeerLimits>;
  /** Most that goes out to peers, of all swarms together, in bytes of the link per second, headers included. @default none */
  readonly uploadBytesPerSecond?: number | undefined;
  /** The same for what comes in from peers. @default none */
  readonly downloadBytesPerSecond?: number | undefined;
  /** @default Math.random */
  readonly random?: () => number;
}

/** What the engine does right now, and what it did since it started. */
export interface EngineStats {
  readonly swarms: number;
  /** Those of them that sleep, because nobody needs them right now. */
  readonly asleep: number;
  readonly connections: number;
  /** Accepted connections that have not proven a right yet. */
  readonly strangers: number;
  readonly bytesFromPeers: number;
  readonly bytesToPeers: number;
  /** The part of `bytesFromPeers` that came from other zones. */
  readonly bytesFromFar: number;
}

/** One blob that the engine is asked to handle. */
export interface SwarmRequest {
  readonly blob: { readonly registry: RegistryHost; readonly digest: Digest };
  readonly swarmId: SwarmId;
  readonly geometry: PieceGeometry;
}

interface Credentials {
  readonly identity: Identity;
  readonly clusterId: ClusterId;
  readonly context: SecureContext;
  /** Names of the CAs that count. */
  readonly issuers: ReadonlySet<string>;
  readonly grants: GrantVerifier;
  readonly content: ContentVerifier;
}

/**
 * All swarms of one process: one listener, shared limits, one judgement of who may connect. Seeds by itself what the
 * store holds and a grant allows.
 */
export class PeerEngine {
  readonly #options: PeerEngineOptions;
  readonly #limits: PeerLimits;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #store: BlobStore;
  readonly #bans: BanList;
  readonly #deny = new DenyList();
  readonly #pieceBuffers: PieceBuffers;
  readonly #uploadBuffers: UploadBuffers;
  readonly #uploadPacer: Pacer;
  readonly #downloadPacer: Pacer;
  readonly #announceGate: Gate;
  readonly #listener: Listener;
  /** Those that are awake. */
  readonly #swarms = new Map<SwarmId, Swarm>();
  readonly #sleepers: Sleepers;
  readonly #environment: SwarmEnvironment;
  readonly #joining = new Map<SwarmId, Promise<Swarm>>();
  readonly #leaving = new Map<SwarmId, Promise<void>>();
  readonly #connections = new Map<Connection, TLSSocket>();
  readonly #ended = new AbortController();
  readonly #dialer: Dialer;
  readonly #dials = new Set<Promise<void>>();
  readonly #dialled = new Map<Connection, { swarm: Swarm; address: PeerAddress; connected: () => void }>();
  readonly #unlisten: (() => void)[] = [];
  readonly #gate: ConnectionGate;
  #credentials: Credentials | undefined;
  #timer: NodeJS.Timeout | undefined;
  #state: 'new' | 'running' | 'stopped' = 'new';
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #lastIngestAt = 0;
  #pastBytesFromPeers = 0;
  #pastBytesToPeers = 0;
  #pastBytesFromFar = 0;

  constructor(options: PeerEngineOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#clock = options.clock;
    this.#dialer = new Dialer({ clock: options.clock });
    this.#log = options.log;
    this.#store = options.store;
    this.#bans = new BanList({ clock: options.clock });
    this.#pieceBuffers = new PieceBuffers({ maxBytes: this.#limits.maxPieceBytes });
    this.#uploadBuffers = new UploadBuffers(uploadBufferOptions(this.#limits));
    this.#uploadPacer = new Pacer({ clock: options.clock, bytesPerSecond: options.uploadBytesPerSecond });
    this.#downloadPacer = new Pacer({ clock: options.clock, bytesPerSecond: options.downloadBytesPerSecond });
    this.#announceGate = new Gate({ max: this.#limits.maxAnnounces });
    this.#listener = new Listener({
      limits: this.#limits,
      clock: options.clock,
      onSocket: (socket, address) => this.#accept(socket, address),
      onRefused: (error, address) => this.#log.debug('peer_refused', { address, error }),
    });
    this.#environment = this.#newEnvironment();
    this.#sleepers = new Sleepers({
      environment: this.#environment,
      answered: (blob, { deny, publicInfoHash, intervalMs }) => {
        if (deny !== undefined) this.takeDenyList(deny);
        if (publicInfoHash === undefined) return;
        const opened = this.awake(blob.swarmId).then((swarm) => swarm?.setPublic(publicInfoHash, intervalMs));
        opened.catch((error: unknown) => this.#log.warn('swarm_left', { swarmId: blob.swarmId, error }));
      },
    });
    this.#gate = {
      verify: (grant, expected) => this.#verify(grant, expected),
      publicSwarm: (infoHash) => this.#publicSwarm(infoHash),
      admit: (connection, swarmId) => this.#admit(connection, swarmId),
      tokenRefused: ({ remote, session }, error) =>
        this.#log.debug('peer_refused', { swarmId: session.swarmId, nodeId: remote.id, error }),
      released: (connection, reason) => this.#released(connection, reason),
    };
  }

  /** The port on which peers are accepted; 0 unless running. */
  get port(): number {
    return this.#listener.port;
  }

  get stats(): EngineStats {
    let bytesFromPeers = this.#pastBytesFromPeers;
    let bytesToPeers = this.#pastBytesToPeers;
    let bytesFromFar = this.#pastBytesFromFar;
    for (const { stats } of this.#swarms.values()) {
      bytesFromFar += stats.bytesFromFar;
      bytesFromPeers += stats.bytesFromPeers;
      bytesToPeers += stats.bytesToPeers;
    }
    return {
      swarms: this.#swarms.size + this.#sleepers.size,
      asleep: this.#sleepers.size,
      connections: this.#connections.size,
      strangers: this.#listener.counts.strangers,
      bytesFromPeers,
      bytesToPeers,
      bytesFromFar,
    };
  }

  /** Listens, and seeds what the store holds and a grant allows. Throws the listener's error. Safe to call twice. */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /** Leaves all swarms, in bounded time, and closes everything. Safe to call twice. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /**
   * Joins the swarm of a blob and fetches what is missing; the same swarm however often it is called. `batches` are
   * signed piece hashes that are known already, `peers` those whom the tracker has named. Throws `STORE_FULL` and other errors
   * of the store, `HASH_BATCH_INVALID`.
   */
  async download(
    o: SwarmRequest & { readonly batches: readonly Uint8Array[]; readonly peers?: AnnounceAnswer['peers'] },
  ): Promise<Swarm> {
    const swarm = await this.#join(o);
    for (const batch of o.batches) swarm.takeHashes(batch);
    swarm.download(o);
    return swarm;
  }

  /** Opens a swarm that this process feeds itself. Throws errors of the store. */
  async ingest(o: SwarmRequest & { readonly signer: ContentSigner }): Promise<Ingest> {
    const swarm = await this.#join(o);
    swarm.beginIngest();
    // Also where the clock went back, or stands still: the later ingest must count.
    const startedAt = Math.max(Math.floor(this.#clock.now()), swarm.hashes.list.startedAt + 1, this.#lastIngestAt + 1);
    this.#lastIngestAt = startedAt;
    const drop = (): Promise<void> => this.#drop(swarm);
    const ingest = new SwarmIngest({ swarm, signer: o.signer, clock: this.#clock, startedAt, drop });
    ingest.begin();
    return ingest;
  }

  /** The swarm, if it is joined and does not sleep. */
  swarm(swarmId: SwarmId): Swarm | undefined {
    return this.#swarms.get(swarmId);
  }

  /** Whether the swarm is joined, asleep or not. */
  isJoined(swarmId: SwarmId): boolean {
    return this.#swarms.has(swarmId) || this.#sleepers.get(swarmId) !== undefined;
  }

  /** The swarm, if it is joined; wakes it if it sleeps. Throws errors of the store. */
  async awake(swarmId: SwarmId): Promise<Swarm | undefined> {
    await this.#leaving.get(swarmId);
    const blob = this.#sleepers.get(swarmId);
    return blob === undefined ? this.#swarms.get(swarmId) : await this.#join(requestOf(blob));
  }

  /** Leaves a swarm; the store keeps the blob. */
  async leave(swarmId: SwarmId): Promise<void> {
    const swarm = this.#swarms.get(swarmId);
    await (swarm === undefined ? this.#sleepers.leave(swarmId) : this.#leave(swarm));
  }

  /** Takes the tracker's deny list, and drops the connections of those on it and those that stand on a revoked grant. */
  takeDenyList(list: DenyNews): void {
    if (!this.#deny.replace(list)) return;
    for (const connection of [...this.#connections.keys()]) {
      const { claims } = connection.session;
      if (this.#deny.isDenied(connection.remote.id)) connection.close(new AppError('NODE_DENIED'));
      else if (claims !== undefined && this.#deny.isRevoked(claims)) connection.close(rightRevoked());
    }
    if (list.revocations.length > 0) this.#options.grants.dropRevoked((right) => this.#deny.isRevoked(right));
  }

  async #start(): Promise<void> {
    const { identity, grants, listen } = this.#options;
    this.#readCredentials();
    await Promise.all([this.#listener.start({ ...listen, tls: identity.current().tls }), this.#store.warmUp()]);
    if (this.#stopping !== undefined) return;
    this.#state = 'running';
    this.#unlisten.push(
      this.#options.tokenCheck?.onChange(() => this.#tokensChanged()) ?? (() => {}),
      identity.onChange(() => this.#identityChanged()),
      grants.onChange((swarmId) => this.#grantChanged(swarmId)),
      this.#store.onEvicted((blob) => this.#evicted(blob)),
      this.#store.onRecovered((blob) => this.#seed(blob)),
    );
    this.#timer = setInterval(() => this.#tick(), this.#limits.tickMs);
    for (const blob of this.#store.list()) this.#seed(blob);
    this.#log.info('peer_listening', { port: this.port });
  }

  async #stop(): Promise<void> {
    await this.#starting?.catch(() => {});
    this.#state = 'stopped';
    clearInterval(this.#timer);
    for (const unlisten of this.#unlisten) unlisten();
    this.#uploadPacer.stop();
    this.#downloadPacer.stop();
    this.#ended.abort(new AppError('PEER_NOT_NEEDED', { reason: 'the engine stops' }));
    await Promise.allSettled(this.#joining.values());
    await Promise.all([...this.#swarms.values()].map((swarm) => this.#leave(swarm)));
    await Promise.all(this.#leaving.values());
    await this.#sleepers.stop();
    for (const connection of [...this.#connections.keys()]) connection.close(this.#ended.signal.reason);
    await Promise.all([this.#listener.stop(), ...this.#dials]);
  }

  #readCredentials(): Credentials {
    const { identity, tls, cluster } = this.#options.identity.current();
    const clusterId = parseClusterId(cluster.clusterId);
    this.#credentials = {
      identity,
      clusterId,
      context: peerClientContext(tls),
      issuers: namesOfAnchors(tls.trustAnchors),
      grants: new GrantVerifier({ clusterId, keys: cluster.grantKeys, clock: this.#clock }),
      content: createContentVerifier(cluster.contentKeys),
    };
    return this.#credentials;
  }

  get #present(): Credentials {
    return this.#credentials ?? this.#readCredentials();
  }

  #identityChanged(): void {
    this.#readCredentials();
    this.#listener.renew(this.#options.identity.current().tls);
    for (const connection of [...this.#connections.keys()]) {
      if (!this.#present.issuers.has(connection.remote.issuer)) connection.close(caRetired());
    }
  }

  #tokensChanged(): void {
    for (const connection of [...this.#connections.keys()]) connection.tokensChanged();
  }

  #grantChanged(swarmId: SwarmId): void {
    const swarm = this.#swarms.get(swarmId);
    if (swarm !== undefined) swarm.grantChanged(isBoundTo);
    else if (this.#sleepers.get(swarmId) !== undefined) this.#sleepers.granted(swarmId);
    else {
      const blob = this.#store.get(swarmId);
      if (blob !== undefined) this.#seed(blob);
    }
  }

  /** Offers a blob that the store holds to those who have a right to it, if a grant allows it. Its swarm sleeps until then. */
  #seed(blob: StoredBlob): void {
    const { swarmId } = blob;
    const hasGrant = this.#options.grants.grantFor(swarmId) !== undefined;
    const isJoining = this.isJoined(swarmId) || this.#joining.has(swarmId);
    if (hasGrant && this.#state === 'running' && blob.bitfield.count > 0 && !isJoining) this.#sleepers.add(blob);
  }

  async #join(o: SwarmRequest): Promise<Swarm> {
    const present = this.#swarms.get(o.swarmId);
    if (present !== undefined && !this.#leaving.has(o.swarmId)) {
      if (isSameGeometry(present.geometry, o.geometry)) return present;
      // A registry that gave a wrong size, once or now: nothing of the one fits the other.
      await this.#leave(present, new AppError('SWARM_WITHDRAWN', { reason: 'the blob has another size' }));
    }
    const running = this.#joining.get(o.swarmId);
    if (running !== undefined) return await running;
    const joining = this.#joinOnce(o).finally(() => this.#joining.delete(o.swarmId));
    this.#joining.set(o.swarmId, joining);
    return await joining;
  }

  async #joinOnce({ blob, swarmId, geometry }: SwarmRequest): Promise<Swarm> {
    // One leaves it while the other already waits to drop its blob too.
    for (let leaving = this.#leaving.get(swarmId); leaving !== undefined; leaving = this.#leaving.get(swarmId))
      await leaving;
    this.#demandRunning();
    const stored = await this.#store.create({ blob, swarmId, geometry });
    this.#demandRunning();
    let swarm = new Swarm({ blob: stored, environment: this.#environment });
    if (swarm.hashes.list.isWithdrawn) {
      // We died between hearing of the withdrawal and dropping the blob.
      await this.#store.delete(swarmId);
      const fresh = await this.#store.create({ blob, swarmId, geometry });
      this.#demandRunning();
      swarm = new Swarm({ blob: fresh, environment: this.#environment });
    }
    this.#sleepers.remove(swarmId);
    this.#swarms.set(swarmId, swarm);
    swarm.start();
    return swarm;
  }

  #demandRunning(): void {
    if (this.#state !== 'running') throw new AppError('STORE_CLOSED', { reason: 'the peer engine does not run' });
  }

  #newEnvironment(): SwarmEnvironment {
    const { announce, grants, random = Math.random, advertise } = this.#options;
    return {
      announce,
      announceGate: this.#announceGate,
      buffers: this.#pieceBuffers,
      downloadPacer: this.#downloadPacer,
      limits: this.#limits,
      clock: this.#clock,
      random,
      log: this.#log,
      verifier: () => this.#present.content,
      grant: (swarmId) => grants.grantFor(swarmId),
      self: () => ({
        nodeId: this.#present.identity.id,
        x5tS256: this.#present.identity.x5tS256,
        port: advertise?.port ?? this.port,
        ip: advertise?.host,
        denyVersion: this.#deny.version,
      }),
      zone: this.#options.zone,
      slots: (swarm) => this.#slotsOf(swarm),
      dial: (swarm, address) => this.#dial(swarm, address),
      denied: (list) => this.takeDenyList(list),
      caught: (swarm, nodeId) => this.#caught(swarm, nodeId),
      withdrawn: (swarm) => {
        this.#drop(swarm).catch((error: unknown) =>
          this.#log.warn('store_blob_dropped', { swarmId: swarm.swarmId, error }),
        );
      },
    };
  }

  #slotsOf(swarm: Swarm): number {
    const { uploadSlots, uploadSlotsPerSwarm, superSeedSlots, minSlotBytesPerSecond } = this.#limits;
    // Each peer that is served should get blocks well before it takes us for dead.
    const paced = Math.floor((this.#options.uploadBytesPerSecond ?? Number.POSITIVE_INFINITY) / minSlotBytesPerSecond);
    let others = 0;
    for (const other of this.#swarms.values()) if (other !== swarm) others += other.servedPeers;
    const own = swarm.isSuperSeeding ? Math.max(superSeedSlots, uploadSlotsPerSwarm) : uploadSlotsPerSwarm;
    return Math.max(1, Math.min(own, Math.min(uploadSlots, paced) - others));
  }

  #tick(): void {
    const idleSince = this.#clock.now() - this.#limits.sleepAfterMs;
    for (const swarm of [...this.#swarms.values()]) {
      swarm.tick();
      if (swarm.isIdleSince(idleSince)) this.#layDown(swarm);
    }
    this.#sleepers.tick();
  }

  #layDown(swarm: Swarm): void {
    const { swarmId, blob, announceDueAt: dueAt } = swarm;
    const sleep = (): void => {
      const isKept = this.#state === 'running' && this.#store.get(swarmId) === blob && !this.#swarms.has(swarmId);
      if (isKept) this.#sleepers.add(blob, dueAt === undefined ? {} : { dueAt });
    };
    this.#leave(swarm, undefined, { isQuiet: true })
      .then(sleep)
      .catch((error: unknown) => this.#log.warn('swarm_left', { swarmId, error }));
  }

  /** With `isFalse` the blob goes too, before anybody can join its swarm again; `isQuiet` as in {@link Swarm.stop}. */
  #leave(swarm: Swarm, reason?: AppError, { isFalse = false, isQuiet = false } = {}): Promise<void> {
    const { swarmId } = swarm;
    const running = this.#leaving.get(swarmId);
    if (running !== undefined && !isFalse) return running;
    const leaving = (running ?? swarm.stop(reason, { isQuiet }))
      .then(async () => {
        if (isFalse && this.#store.get(swarmId) === swarm.blob) await this.#store.delete(swarmId);
      })
      .finally(() => {
        // Another that also deletes the blob is waiting behind, and does this.
        if (this.#leaving.get(swarmId) !== leaving) return;
        this.#pastBytesFromPeers += swarm.stats.bytesFromPeers;
        this.#pastBytesToPeers += swarm.stats.bytesToPeers;
        this.#pastBytesFromFar += swarm.stats.bytesFromFar;
        this.#swarms.delete(swarmId);
        this.#leaving.delete(swarmId);
      });
    this.#leaving.set(swarmId, leaving);
    return leaving;
  }

  /** The blob is false: nobody gets it any more, from us or from the store. */
  async #drop(swarm: Swarm): Promise<void> {
    // Both our own ingest and the batch that it sends say so.
    if (this.#swarms.get(swarm.swarmId) !== swarm) return;
    this.#log.warn('blob_withdrawn', { swarmId: swarm.swarmId, digest: swarm.blob.digest });
    await this.#leave(swarm, new AppError('SWARM_WITHDRAWN', { digest: swarm.blob.digest }), { isFalse: true });
  }

  #evicted({ swarmId }: StoredBlob): void {
    this.leave(swarmId).catch((error: unknown) => this.#log.warn('swarm_left', { swarmId, error }));
  }

  #caught(swarm: Swarm, nodeId: NodeId): void {
    // Its other pieces that are being verified right now tell nothing new.
    if (this.#bans.isBanned(nodeId)) return;
    this.#bans.ban(nodeId, this.#limits.banMs);
    this.#log.warn('peer_banned', { swarmId: swarm.swarmId, nodeId, banMs: this.#limits.banMs });
    const reason = new AppError('PIECE_REJECTED', { reason: 'the node sent a false block' });
    for (const connection of [...this.#connections.keys()])
      if (connection.remote.id === nodeId) connection.close(reason);
    this.#options.report?.(swarm.swarmId, nodeId);
  }

  #isRefused(nodeId: NodeId): boolean {
    return this.#deny.isDenied(nodeId) || this.#bans.isBanned(nodeId) || nodeId === this.#present.identity.id;
  }

  async #verify(grant: string, { swarmId, remote }: { swarmId: SwarmId; remote: Identity }): Promise<GrantClaims> {
    const expected = { swarmId, nodeId: remote.id, x5tS256: remote.x5tS256 };
    const claims = await this.#present.grants.verify(grant, expected);
    if (this.#deny.isRevoked(claims)) throw rightRevoked();
    // Without a grant of our own there would be nothing to show to the peer.
    if (this.#options.grants.grantFor(swarmId) !== undefined) await this.awake(swarmId);
    return claims;
  }

  /** Asked once for each accepted connection. Where registry tokens are demanded too, nothing is open to who has none. */
  #publicSwarm(infoHash: SwarmId): SwarmId | undefined {
    if (this.#options.tokenCheck !== undefined) return undefined;
    for (const swarm of this.#swarms.values()) if (swarm.publicInfoHash === infoHash) return swarm.swarmId;
    return undefined;
  }

  #admit(connection: Connection, swarmId: SwarmId): Swarm | undefined {
    const swarm = this.#leaving.has(swarmId) ? undefined : this.#swarms.get(swarmId);
    if (swarm === undefined || this.#isRefused(connection.remote.id) || !swarm.admit(connection)) return undefined;
    const socket = this.#connections.get(connection);
    if (socket !== undefined) this.#listener.settled(socket);
    this.#dialled.get(connection)?.connected();
    return swarm;
  }

  #released(connection: Connection, reason: unknown): void {
    this.#connections.delete(connection);
    // What has no code is neither ours nor the socket's: a bug, which must not pass for a peer's fault.
    const level = isAppError(reason) || (reason as NodeJS.ErrnoException).code !== undefined ? 'debug' : 'error';
    this.#log[level]('peer_closed', { nodeId: connection.remote.id, address: connection.address, error: reason });
    const dialled = this.#dialled.get(connection);
    if (dialled === undefined) return;
    this.#dialled.delete(connection);
    dialled.connected();
    dialled.swarm.dialEnded(dialled.address, connection, {
      isUseless: connection.remote.id === this.#present.identity.id,
    });
  }

  #accept(socket: TLSSocket, address: string): void {
    try {
      if (this.#state !== 'running' || this.#connections.size >= this.#limits.maxConnections) {
        throw new AppError('PEER_PROTOCOL', { reason: 'no place for another connection' });
      }
      const remote = this.#identify(socket);
      const connection = this.#connect({ socket, remote, address });
      socket.on('data', (chunk: Buffer) => connection.receive(chunk, 0, chunk.length));
    } catch (error) {
      this.#log.debug('peer_refused', { address, error });
      socket.destroy();
    }
  }

  /** Who is at the other end; throws `CERTIFICATE_REJECTED` or `NODE_DENIED`. */
  #identify(socket: TLSSocket): Identity {
    const expected = { clusterId: this.#present.clusterId, roles: PEER_ROLES, clock: this.#clock };
    const remote = identityOfSocket(socket, expected);
    // The handshake may have begun before the CA was retired.
    if (!this.#present.issuers.has(remote.issuer)) throw caRetired();
    if (this.#isRefused(remote.id)) throw new AppError('NODE_DENIED', { nodeId: remote.id });
    return remote;
  }

  #connect({
    socket,
    remote,
    address,
    swarm,
  }: {
    socket: TLSSocket;
    remote: Identity;
    address: string;
    swarm?: Swarm;
  }) {
    const certificate = socket.getX509Certificate();
    // What this very connection shows, which may be the one before the last renewal.
    const local = certificate === undefined ? this.#present.identity : identityOfCertificate(certificate);
    const connection = new Connection({
      socket,
      remote,
      local,
      address,
      zone: this.#options.zone,
      ...(swarm === undefined
        ? {}
        : { dial: { swarmId: swarm.swarmId, grant: swarm.grant, geometry: swarm.geometry } }),
      gate: this.#gate,
      tokenCheck: this.#options.tokenCheck,
      buffers: this.#uploadBuffers,
      uploadPacer: this.#uploadPacer,
      limits: this.#limits,
      clock: this.#clock,
    });
    this.#connections.set(connection, socket);
    return connection;
  }

  #dial(swarm: Swarm, address: PeerAddress): boolean {
    const grant = this.#options.grants.grantFor(swarm.swarmId);
    const hasPlace = this.#dials.size < this.#limits.maxDials;
    const isFull = this.#connections.size + this.#dials.size >= this.#limits.maxConnections;
    if (grant === undefined || !hasPlace || isFull || !isBoundTo(grant, this.#present.identity.x5tS256)) return false;
    const running = this.#dialOnce(swarm, address).finally(() => this.#dials.delete(running));
    this.#dials.add(running);
    return true;
  }

  /** Ends when the connection is open or gone: dials under way are bounded, connections are counted apart. */
  async #dialOnce(swarm: Swarm, address: PeerAddress): Promise<void> {
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(this.#limits.handshakeTimeoutMs)]);
    let dialled: DialledSocket | undefined;
    try {
      dialled = await this.#dialer.dial({ ...address, context: this.#present.context }, { signal });
      const { socket, setReceiver } = dialled;
      signal.throwIfAborted();
      const remote = this.#identify(socket);
      if (address.peerId !== undefined && peerIdOf(remote.id).toString('hex') !== address.peerId) {
        throw new AppError('CERTIFICATE_REJECTED', { reason: 'another node than the tracker said' });
      }
      const connection = this.#connect({ socket, remote, address: address.host, swarm });
      setReceiver((buffer, length) => connection.receive(buffer, 0, length));
      swarm.dialConnected(connection, address);
      await new Promise<void>((connected) => {
        this.#dialled.set(connection, { swarm, address, connected });
      });
    } catch (error) {
      dialled?.socket.destroy();
      this.#log.debug('peer_refused', { swarmId: swarm.swarmId, address: address.host, error });
      const isSelf = isAppError(error, 'NODE_DENIED') && error.details['nodeId'] === this.#present.identity.id;
      const isGone = GONE_ERRNOS.has((error as NodeJS.ErrnoException | undefined)?.code);
      swarm.dialEnded(address, undefined, { isUseless: isSelf, isGone });
    }
  }
}

function caRetired(): AppError {
  return new AppError('CERTIFICATE_REJECTED', { reason: 'its CA is retired' });
}

function rightRevoked(): AppError {
  return new AppError('GRANT_REJECTED', { reason: 'the right was revoked' });
}

function requestOf({ swarmId, registry, digest, geometry }: StoredBlob): SwarmRequest {
  return { blob: { registry, digest }, swarmId, geometry };
}

function isSameGeometry(one: PieceGeometry, other: PieceGeometry): boolean {
  return one.size === other.size && one.pieceLength === other.pieceLength;
}
