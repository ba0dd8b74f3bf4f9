import {
  type BlockRange,
  claimedProgress,
  decodeExtendedHandshake,
  decodeFetching,
  EXTENSION,
  EXTENSION_NAME,
  type ExtendedHandshake,
  type Handshake,
  MAX_BLOCK_LENGTH,
  type Message,
  peerIdOf,
} from '@sealift/bittorrent';
import {
  AppError,
  Bitfield,
  BLOCK_LENGTH,
  type Clock,
  type PieceGeometry,
  pieceSize,
  type SwarmId,
  type Zone,
} from '@sealift/core';
import type { Identity } from '@sealift/pki';
import type { GrantClaims } from '@sealift/tracker-api';
import { OutstandingRequests } from './outstanding-requests.ts';

/** `grant`: the greeting is in, its grant is being verified. `open`: both sides may speak. */
export type SessionPhase = 'greeting' | 'grant' | 'open' | 'closed';

/** What a message of an open session means to its owner. Facts of the session itself are already updated. */
export type SessionEvent =
  | { readonly type: 'pieces' }
  | { readonly type: 'have'; readonly index: number }
  | { readonly type: 'interest' }
  | { readonly type: 'choked' }
  | { readonly type: 'unchoked' }
  /** The peer wants a block: serve it. */
  | ({ readonly type: 'request' } & BlockRange)
  /** The peer wants a block while it is choked: answer with a reject (BEP 6). */
  | ({ readonly type: 'refuse' } & BlockRange)
  | ({ readonly type: 'cancel' } & BlockRange)
  /** The peer will not send a block that we asked for. */
  | ({ readonly type: 'rejected' } & BlockRange)
  | { readonly type: 'hashes'; readonly payload: Uint8Array }
  /** How far the seeder has read; its signature is not verified yet. */
  | { readonly type: 'progress'; readonly payload: Uint8Array }
  /** The peer is fetching these pieces from another zone. */
  | { readonly type: 'fetching'; readonly indexes: readonly number[] }
  /** We sent a block of this many bytes. */
  | { readonly type: 'sent'; readonly length: number }
  /** The peer shows another grant: verify it, then call {@link Session.renew}. */
  | { readonly type: 'grant'; readonly grant: string; readonly token: string | undefined };

/** Bounds of one session; see `PeerLimits` for their reasons. */
export interface SessionLimits {
  readonly maxQueuedRequests: number;
  readonly maxUselessMessagesPerMinute: number;
}

/** Extended handshakes after the first, per session: a grant is renewed every few minutes at most. */
const MAX_RENEWALS = 1_000;
/** Requests that a peer queues when it does not say (BEP 10). */
const DEFAULT_REQUEST_QUEUE = 250;
/** Each peer passes on each batch once: one a piece while the blob is read, then the same list in long batches. */
const HASH_MESSAGES_PER_PIECE = 3;
const SPARE_HASH_MESSAGES = 64;

/**
 * The rules of one peer connection (docs/protocol.md, "Peer connection"), without its socket: who may say what and when.
 * Every method that takes something from the peer throws `PEER_PROTOCOL` or a codec's error when the peer breaks a rule;
 * the owner of the socket then closes it.
 */
export class Session {
  readonly remote: Identity;
  readonly isDialer: boolean;
  /** Blocks that we asked for. */
  readonly outstanding = new OutstandingRequests();
  readonly #clock: Clock;
  readonly #limits: SessionLimits;
  readonly #maxBlockLength: number;
  #phase: SessionPhase = 'greeting';
  #isPublic = false;
  #swarmId: SwarmId | undefined;
  #geometry: PieceGeometry | undefined;
  #claims: GrantClaims | undefined;
  #extensions: ReadonlyMap<string, number> = new Map();
  #remoteQueue = 0;
  readonly #demandsToken: boolean;
  #isTokenProven = false;
  #isTokenDemanded = false;
  #blockLimit = BLOCK_LENGTH;
  #zone: Zone | undefined;
  #pieces: Bitfield | undefined;
  #queued = 0;
  #renewals = 0;
  #hashMessages = 0;
  #uselessCount = 0;
  #uselessSince: number;
  /** We do not serve the peer. */
  isChoking = true;
  /** We told the peer that it has something for us. */
  isInterested = false;
  /** The peer does not serve us. */
  isChoked = true;
  /** We have something for the peer. */
  isPeerInterested = false;

  /** `swarmId` is the dialer's choice; an acceptor learns it from the greeting. */
  constructor({
    remote,
    swarmId,
    maxBlockLength = BLOCK_LENGTH,
    demandsToken = false,
    clock,
    limits,
  }: {
    remote: Identity;
    swarmId?: SwarmId | undefined;
    /** Longest block that we serve, in bytes; what our extended handshake says. */
    maxBlockLength?: number;
    /** The peer gets no block before {@link Session.proveToken}. */
    demandsToken?: boolean;
    clock: Clock;
    limits: SessionLimits;
  }) {
    this.remote = remote;
    this.isDialer = swarmId !== undefined;
    this.#swarmId = swarmId;
    this.#clock = clock;
    this.#limits = limits;
    this.#maxBlockLength = maxBlockLength;
    this.#demandsToken = demandsToken;
    this.#uselessSince = clock.now();
  }

  get phase(): SessionPhase {
    return this.#phase;
  }

  /** The swarm that the session is about; an acceptor knows it once the greeting is in. */
  get swarmId(): SwarmId | undefined {
    return this.#swarmId;
  }

  /** What the peer holds; `undefined` until it said so. */
  get pieces(): Bitfield | undefined {
    return this.#pieces;
  }

  /** Requests of the peer that wait with us; one for a longer block counts once for each 16 KiB of it. */
  get queuedCount(): number {
    return this.#queued;
  }

  /** Where the peer says that it stands. */
  get zone(): Zone | undefined {
    return this.#zone;
  }

  /** Longest block that the peer serves, in bytes. */
  get blockLimit(): number {
    return this.#blockLimit;
  }

  /** Requests that the peer lets us queue, of 16 KiB each. */
  get requestLimit(): number {
    return this.#remoteQueue;
  }

  /** The peer's grant lets it receive blocks, and so does its registry token where one is demanded. */
  get mayReceive(): boolean {
    return this.#isGrantedTrade && (!this.#demandsToken || this.#isTokenProven);
  }

  /** There are no grants, because the swarm is open to every certificate of the cluster. */
  get isPublic(): boolean {
    return this.#isPublic;
  }

  /** What the peer's grant says; `undefined` until the session is open. */
  get claims(): GrantClaims | undefined {
    return this.#claims;
  }

  /** The peer gives us no block before it has seen a registry token. */
  get isTokenDemanded(): boolean {
    return this.#isTokenDemanded;
  }

  /** When the session must end: the peer's grant or certificate ends then, in ms. */
  get expiresAt(): number {
    return Math.min(this.remote.notAfter, this.#claims?.expiresAt ?? Number.POSITIVE_INFINITY);
  }

  /** The peer's id for one of our extended messages; `undefined` if it does not know it. */
  extensionId(name: keyof typeof EXTENSION_NAME): number | undefined {
    return this.#extensions.get(EXTENSION_NAME[name]);
  }

  /**
   * Takes the peer's greeting; returns the grant to verify for {@link swarmId}. A dialer has sent its own greeting before;
   * an acceptor has sent nothing, and sends nothing until {@link open}.
   */
  greet(handshake: Handshake, extended: ExtendedHandshake): { swarmId: SwarmId; grant: string } {
    if (this.#phase !== 'greeting') throw broken('a second greeting');
    if (this.#swarmId !== undefined && handshake.swarmId !== this.#swarmId) throw broken('another swarm');
    if (!handshake.peerId.equals(peerIdOf(this.remote.id))) throw broken('peer id is not that of the certificate');
    if (extended.grant === undefined) throw broken('no grant');
    // A token is for those who have shown their grant, so none can come with the first word.
    if (extended.token !== undefined) throw broken('a token before the grants');
    this.#swarmId = handshake.swarmId;
    this.#takeExtended(extended);
    this.#phase = 'grant';
    return { swarmId: handshake.swarmId, grant: extended.grant };
  }

  /** The grant is verified and the swarm is one of ours: messages may flow. */
  open(claims: GrantClaims, geometry: PieceGeometry): void {
    if (this.#phase !== 'grant') throw broken('opened out of order');
    this.#checkClaims(claims);
    this.#claims = claims;
    this.#geometry = geometry;
    this.#phase = 'open';
  }

  /**
   * Opens the session of a stock client in a public swarm: there is no grant on either side, and none of our own messages.
   * Only an acceptor's, and only instead of {@link greet}.
   */
  openPublic(swarmId: SwarmId, geometry: PieceGeometry): void {
    if (this.#phase !== 'greeting' || this.isDialer) throw broken('opened out of order');
    this.#swarmId = swarmId;
    this.#geometry = geometry;
    this.#remoteQueue = DEFAULT_REQUEST_QUEUE;
    this.#isPublic = true;
    this.#phase = 'open';
  }

  /** A later grant is verified and takes the place of the one before. */
  renew(claims: GrantClaims): void {
    if (this.#phase !== 'open') return;
    this.#checkClaims(claims);
    // The token was good for the repository of the grant before.
    if (claims.repository !== this.#claims?.repository) this.#isTokenProven = false;
    this.#claims = claims;
  }

  /**
   * The peer's registry token is verified for the repository of `claims`, which must be that of the present ones. It counts
   * for the whole session, as a download that has begun at a registry goes on after the token's end; a session ends with
   * its certificates at the latest.
   */
  proveToken(claims: GrantClaims): void {
    if (this.#phase === 'open' && claims.repository === this.#claims?.repository) this.#isTokenProven = true;
  }

  close(): void {
    this.#phase = 'closed';
  }

  /** Takes a message; `undefined` if it means nothing to the owner. */
  receive(message: Exclude<Message, { type: 'piece' }>): SessionEvent | undefined {
    const geometry = this.#openGeometry();
    switch (message.type) {
      case 'keep-alive':
        return undefined;
      case 'suggest':
      case 'allowed-fast':
        this.#countUseless();
        return undefined;
      case 'bitfield':
        return this.#takePieces(() => Bitfield.fromBytes(message.bytes, geometry.pieceCount));
      case 'have-all':
        return this.#takePieces(() => fullBitfield(geometry.pieceCount));
      case 'have-none':
        return this.#takePieces(() => new Bitfield(geometry.pieceCount));
      case 'have':
        if (message.index >= geometry.pieceCount) throw broken('have of a piece that does not exist');
        if (this.#piecesOrThrow().has(message.index)) {
          this.#countUseless();
          return undefined;
        }
        return { type: 'have', index: message.index };
      case 'choke':
      case 'unchoke':
        return this.#takeChoke(message.type === 'choke');
      case 'interested':
      case 'not-interested':
        return this.#takeInterest(message.type === 'interested');
      case 'request':
        return this.#takeRequest(message, geometry);
      case 'cancel':
        this.#countUseless();
        return { type: 'cancel', index: message.index, begin: message.begin, length: message.length };
      case 'reject':
        return this.#takeReject(message);
      case 'extended':
        return this.#takeExtension(message.id, message.payload, geometry);
    }
  }

  /** Judges a block that starts to come in; throws for one that we never asked for. */
  acceptBlock(block: BlockRange): 'wanted' | 'late' {
    this.#openGeometry();
    const kind = this.outstanding.classify(block);
    if (kind === 'unrequested') throw broken('a block that was not asked for');
    return kind;
  }

  /** A queued request of the peer was answered, by its block or by a reject. */
  answered({ length }: BlockRange): void {
    this.#queued -= queueShare(length);
  }

  get #isGrantedTrade(): boolean {
    return this.#isPublic || this.#claims?.use === 'trade';
  }

  #openGeometry(): PieceGeometry {
    if (this.#phase !== 'open' || this.#geometry === undefined) throw broken('a message before the grant');
    if (this.#clock.now() >= this.expiresAt) throw broken('grant or certificate has ended');
    return this.#geometry;
  }

  #checkClaims(claims: GrantClaims): void {
    // The verifier has compared all of this; a session must not depend on who called it.
    const isOurs =
      claims.swarmId === this.#swarmId && claims.nodeId === this.remote.id && claims.x5tS256 === this.remote.x5tS256;
    if (!isOurs || claims.expiresAt <= this.#clock.now())
      throw new AppError('GRANT_REJECTED', { reason: 'does not fit' });
  }

  #takeExtended({ messages, requestQueue, blockLength, zone, demandsToken }: ExtendedHandshake): void {
    this.#zone = zone;
    this.#isTokenDemanded = demandsToken === true;
    this.#blockLimit = Math.min(blockLength ?? BLOCK_LENGTH, MAX_BLOCK_LENGTH);
    this.#extensions = messages;
    this.#remoteQueue = requestQueue ?? DEFAULT_REQUEST_QUEUE;
  }

  #piecesOrThrow(): Bitfield {
    if (this.#pieces === undefined) throw broken('a message before the bitfield');
    return this.#pieces;
  }

  #takePieces(read: () => Bitfield): SessionEvent {
    if (this.#pieces !== undefined) throw broken('a second bitfield');
    this.#pieces = read();
    return { type: 'pieces' };
  }

  #takeChoke(isChoked: boolean): SessionEvent | undefined {
    if (isChoked === this.isChoked) {
      this.#countUseless();
      return undefined;
    }
    this.isChoked = isChoked;
    return { type: isChoked ? 'choked' : 'unchoked' };
  }

  #takeInterest(isInterested: boolean): SessionEvent | undefined {
    this.#countUseless();
    if (isInterested === this.isPeerInterested) return undefined;
    this.isPeerInterested = isInterested;
    return { type: 'interest' };
  }

  #takeRequest({ index, begin, length }: BlockRange, geometry: PieceGeometry): SessionEvent {
    this.#piecesOrThrow();
    if (!this.#isGrantedTrade) throw broken('a request under a grant that allows none');
    const isInside = index < geometry.pieceCount && length > 0 && begin + length <= pieceSize(geometry, index);
    if (!isInside || length > this.#maxBlockLength) throw broken('a request out of range');
    if (this.isChoking || !this.mayReceive) {
      this.#countUseless();
      return { type: 'refuse', index, begin, length };
    }
    const queued = this.#queued + queueShare(length);
    if (queued > this.#limits.maxQueuedRequests) throw broken('more requests than we queue');
    this.#queued = queued;
    return { type: 'request', index, begin, length };
  }

  #takeReject({ index, begin, length }: BlockRange): SessionEvent | undefined {
    const block = { index, begin, length };
    const kind = this.outstanding.classify(block);
    if (kind === 'unrequested') throw broken('a reject of what was not asked for');
    if (kind === 'late') {
      this.outstanding.settleLate(block);
      return undefined;
    }
    this.outstanding.settle(block);
    return { type: 'rejected', ...block };
  }

  #takeExtension(id: number, payload: Uint8Array, geometry: PieceGeometry): SessionEvent | undefined {
    // A stock client was told of no message of ours.
    if (this.#isPublic && id !== EXTENSION.handshake) throw broken('an extended message that we do not speak');
    switch (id) {
      case EXTENSION.handshake: {
        this.#renewals += 1;
        if (this.#renewals > MAX_RENEWALS) throw broken('too many extended handshakes');
        const extended = decodeExtendedHandshake(payload);
        if (this.#isPublic) {
          this.#remoteQueue = extended.requestQueue ?? DEFAULT_REQUEST_QUEUE;
          return undefined;
        }
        if (extended.grant === undefined) throw broken('an extended handshake without a grant');
        return { type: 'grant', grant: extended.grant, token: extended.token };
      }
      case EXTENSION.hashes:
        this.#hashMessages += 1;
        if (this.#hashMessages > HASH_MESSAGES_PER_PIECE * geometry.pieceCount + SPARE_HASH_MESSAGES) {
          throw broken('too many hash batches');
        }
        return { type: 'hashes', payload };
      case EXTENSION.progress: {
        this.#countUseless();
        claimedProgress(payload);
        return { type: 'progress', payload };
      }
      case EXTENSION.fetching:
        this.#countUseless();
        return { type: 'fetching', indexes: decodeFetching(payload, geometry.pieceCount) };
      default:
        throw broken('an extended message that we do not speak');
    }
  }

  #countUseless(): void {
    const now = this.#clock.now();
    if (now - this.#uselessSince >= 60_000) {
      this.#uselessSince = now;
      this.#uselessCount = 0;
    }
    this.#uselessCount += 1;
    if (this.#uselessCount > this.#limits.maxUselessMessagesPerMinute) throw broken('too many messages to no purpose');
  }
}

/** What a request takes of the queue: bytes are bounded too, not only requests. */
function queueShare(length: number): number {
  return Math.ceil(length / BLOCK_LENGTH);
}

function fullBitfield(length: number): Bitfield {
  const bitfield = new Bitfield(length);
  for (let index = 0; index < length; index += 1) bitfield.add(index);
  return bitfield;
}

function broken(reason: string): AppError {
  return new AppError('PEER_PROTOCOL', { reason });
}
