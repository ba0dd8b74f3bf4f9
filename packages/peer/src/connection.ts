import type { TLSSocket } from 'node:tls';
import {
  type BlockRange,
  EXTENSION,
  encodeExtendedHandshake,
  encodeFetching,
  encodeHandshake,
  encodeMessage,
  encodeRequests,
  MAX_BLOCK_LENGTH,
  MAX_FETCHING,
  type Message,
  MessageParser,
  OWN_EXTENSION_MESSAGES,
  peerIdOf,
} from '@sealift/bittorrent';
import { AppError, type Clock, type PieceGeometry, type SwarmId, type Zone } from '@sealift/core';
import type { Identity } from '@sealift/pki';
import type { GrantClaims } from '@sealift/tracker-api';
import type { UploadBuffers } from './buffer-pools.ts';
import type { PeerLimits } from './limits.ts';
import { NeighbourNews, type PieceHashes } from './neighbour-news.ts';
import type { Pacer } from './pacer.ts';
import type { PickerPeer } from './picker.ts';
import type { TokenCheck } from './ports.ts';
import { Preamble } from './preamble.ts';
import { RequestWindow } from './request-window.ts';
import { Session, type SessionEvent } from './session.ts';
import { TokenExchange } from './token-exchange.ts';
import { UploadQueue, uploadBufferLength } from './upload-queue.ts';

/** How we call ourselves in the extended handshake (BEP 10 `v`). */
const CLIENT_VERSION = 'Sealift 0.1';
/** Bytes that may come while a grant is being verified: what TLS had decrypted before the socket stopped reading. */
const MAX_HELD_BYTES = 256 * 1024;
/** Writes from this length on go out by themselves, in bytes: several TLS records. */
const MIN_UNCORKED_BYTES = 64 * 1024;
/** Time for a last message to leave before the socket is cut, in ms. */
const LINGER_MS = 1_000;

/** The swarm that a connection belongs to, as the connection sees it. */
export interface ConnectionHost {
  readonly geometry: PieceGeometry;
  /** The grant that we show. */
  readonly grant: string;
  /** Both grants are verified; says what we hold. */
  opened(connection: Connection): void;
  event(connection: Connection, event: SessionEvent): void;
  /** Where a block goes that we asked for; `undefined` to discard it. */
  blockStarts(connection: Connection, block: BlockRange): Uint8Array | undefined;
  blockEnded(connection: Connection, block: BlockRange, isStored: boolean): void;
  /** Verified bytes of the blob. */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Called once, if `opened` was. */
  closed(connection: Connection): void;
}

/** What a connection asks of the engine. */
export interface ConnectionGate {
  /** The claims of a peer's grant; throws `GRANT_REJECTED`. */
  verify(grant: string, expected: { swarmId: SwarmId; remote: Identity }): Promise<GrantClaims>;
  /** The swarm that is open to every certificate of the cluster under this info hash, now. */
  publicSwarm(infoHash: SwarmId): SwarmId | undefined;
  /** The swarm, if it is one of ours and has a place for this peer. Only asked once the grant is verified. */
  admit(connection: Connection, swarmId: SwarmId): ConnectionHost | undefined;
  /** The peer has shown a registry token that is not good enough here. */
  tokenRefused(connection: Connection, error: unknown): void;
  /** Called once for each connection, however it ends. */
  released(connection: Connection, reason: unknown): void;
}

/** Everything a connection is made of. */
export interface ConnectionOptions {
  readonly socket: TLSSocket;
  readonly remote: Identity;
  /** Our own identity on this connection; its grants are bound to it. */
  readonly local: Identity;
  /** The address, for logs and limits only. */
  readonly address: string;
  /** Our own zone, if we have one. */
  readonly zone?: Zone | undefined;
  /** Set by a dialer: the swarm it wants and the grant it shows. */
  readonly dial?: { readonly swarmId: SwarmId; readonly grant: string; readonly geometry: PieceGeometry };
  readonly gate: ConnectionGate;
  /** Set where registry tokens are shown and demanded too. */
  readonly tokenCheck?: TokenCheck | undefined;
  readonly buffers: UploadBuffers;
  /** The upload limit that all connections share. */
  readonly uploadPacer: Pacer;
  readonly limits: PeerLimits;
  readonly clock: Clock;
}

/**
 * One TLS connection to one peer about one swarm, for both directions. A thin shell: {@link Session} knows the rules, the
 * {@link ConnectionHost} what to fetch and to serve; here are socket, deadlines and bounds.
 */
export class Connection {
  readonly session: Session;
  readonly remote: Identity;
  readonly local: Identity;
  readonly address: string;
  readonly window: RequestWindow;
  /** The picker's view of this peer, once it has said what it holds. */
  handle: PickerPeer | undefined;
  /** Request timeouts in a row. */
  snubs = 0;
  /** When the peer last completed a block, or when it was first asked after a pause, in ms. */
  lastBlockAt = 0;
  /** Blocks' bytes since the choker last looked. */
  givenSinceRound = 0;
  /** Pieces of the peer that we lack. */
  wantedCount = 0;
  /** The block that is coming in right now and has a place. */
  arriving: BlockRange | undefined;
  /** The pieces that this peer was shown, where that is not all of ours (super-seeding). */
  revealed: Set<number> | undefined;
  readonly #zone: Zone | undefined;
  readonly #socket: TLSSocket;
  readonly #gate: ConnectionGate;
  readonly #limits: PeerLimits;
  readonly #clock: Clock;
  readonly #buffers: UploadBuffers;
  readonly #uploadPacer: Pacer;
  readonly #maxBlockLength: number;
  readonly #preamble: Preamble;
  readonly #parser: MessageParser;
  #uploads: UploadQueue | undefined;
  #host: ConnectionHost | undefined;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #deadline: NodeJS.Timeout | undefined;
  #lastReceivedAt: number;
  /** Something came since the last tick, which looks at the clock for it: 65,536 looks for each GiB would tell no more. */
  #hasReceived = false;
  #lastSentAt: number;
  #lastWrittenAt: number;
  #pendingWrites = 0;
  #isCorked = false;
  readonly #news = new NeighbourNews();
  #isClosed = false;
  #isRenewing = false;
  /** What the peer has shown while a grant was being verified: the latest counts. */
  #nextRenewal: { readonly grant: string; readonly token: string | undefined } | undefined;
  readonly #demandsToken: boolean;
  readonly #tokens: TokenExchange;
  /** The grant that we have shown on this connection, which is bound to its certificate. */
  #grant: string | undefined;

  constructor({
    socket,
    remote,
    local,
    address,
    zone,
    dial,
    gate,
    tokenCheck,
    buffers,
    uploadPacer,
    limits,
    clock,
  }: ConnectionOptions) {
    this.#socket = socket;
    this.remote = remote;
    this.local = local;
    this.address = address;
    this.#zone = zone;
    this.#gate = gate;
    this.#buffers = buffers;
    this.#uploadPacer = uploadPacer;
    this.#limits = limits;
    this.#clock = clock;
    this.#maxBlockLength = Math.min(MAX_BLOCK_LENGTH, limits.uploadBatchBytes, uploadPacer.turnBytes);
    this.#demandsToken = tokenCheck !== undefined;
    this.session = new Session({
      remote,
      swarmId: dial?.swarmId,
      maxBlockLength: this.#maxBlockLength,
      demandsToken: this.#demandsToken,
      clock,
      limits,
    });
    this.#tokens = new TokenExchange({
      session: this.session,
      check: tokenCheck,
      onProven: () => this.#host?.event(this, { type: 'interest' }),
      onRefused: (error) => this.#gate.tokenRefused(this, error),
    });
    this.window = new RequestWindow({ clock, minBytes: limits.minWindowBytes, maxBytes: limits.maxWindowBytes });
    const isPublic = (infoHash: SwarmId): boolean => gate.publicSwarm(infoHash) !== undefined;
    this.#preamble = new Preamble(dial === undefined ? { isPublic } : {});
    this.#parser = new MessageParser({
      onMessage: (message) => this.#onMessage(message),
      onPieceStart: (index, begin, length) => this.#onPieceStart({ index, begin, length }),
      onPieceEnd: (index, begin, length, isStored) =>
        this.#onPieceEnd(this.arriving ?? { index, begin, length }, isStored),
    });
    const now = clock.now();
    this.#lastReceivedAt = now;
    this.#lastSentAt = now;
    this.#lastWrittenAt = now;
    socket.setNoDelay(true);
    socket.on('error', (error) => this.close(error));
    socket.on('close', () => this.close(new AppError('PEER_CLOSED')));
    this.#deadline = setTimeout(
      () => this.close(new AppError('PEER_PROTOCOL', { reason: 'handshake took too long' })),
      limits.handshakeTimeoutMs,
    );
    if (dial !== undefined) this.#write(this.#greeting(dial.swarmId, dial.grant));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isOpen(): boolean {
    return this.session.phase === 'open';
  }

  /** The peer stands in another zone than we do. */
  get isFar(): boolean {
    return this.#zone !== undefined && this.session.zone !== undefined && this.#zone !== this.session.zone;
  }

  /** Which of the two ends dialled. Both ends agree on it, so they can agree on which of two connections to keep. */
  get dialerId(): string {
    return this.session.isDialer ? this.local.id : this.remote.id;
  }

  /** When it must end, in ms: a certificate of either side or the grant that the peer has shown does. */
  get endsAt(): number {
    return Math.min(this.session.expiresAt, this.local.notAfter);
  }

  /** What we asked of the peer. */
  get outstanding(): Session['outstanding'] {
    return this.session.outstanding;
  }

  /** Takes `bytes[start, end)` from the socket; keeps no reference to them. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    if (this.#isClosed) return;
    this.#hasReceived = true;
    try {
      if (this.session.phase === 'open') this.#parser.push(bytes, start, end);
      else if (this.session.phase === 'greeting') this.#takeGreeting(bytes.subarray(start, end));
      else this.#hold(bytes.subarray(start, end));
    } catch (error) {
      this.close(error);
    }
  }

  /** Sends one message. Only an open session speaks: to call it earlier is a bug. */
  send(message: Message): void {
    if (this.#isClosed) return;
    if (this.session.phase !== 'open') throw new Error(`${message.type} before the session is open`);
    this.#write(encodeMessage(message));
  }

  /** Asks for blocks that are already noted as outstanding. */
  request(blocks: readonly BlockRange[]): void {
    if (blocks.length === 0 || this.#isClosed) return;
    this.#write(encodeRequests(blocks));
  }

  /** Tells the peer about pieces that we hold. */
  sendHaves(indexes: readonly number[]): void {
    this.queueHaves(indexes);
    this.flushNews();
  }

  /** Tells the peer about pieces with whatever is written next, at the latest at the next {@link tick}. */
  queueHaves(indexes: readonly number[]): void {
    if (!this.#isClosed) this.#news.addHaves(indexes);
  }

  /** The peer lacks some of the pieces that it is yet to be told of. */
  get awaitsNews(): boolean {
    return this.#news.isAwaited((index) => this.#peerHas(index));
  }

  /** Tells the peer what is queued for it, each hash before its have. */
  flushNews(): void {
    if (!this.#news.hasHaves || this.#isClosed) return;
    const { records, haves } = this.#news.take((index) => this.#peerHas(index));
    for (const record of records) this.sendHashes(record);
    this.#write(Buffer.concat(haves.map((index) => encodeMessage({ type: 'have', index }))));
  }

  /** Passes on a signed hash batch. */
  sendHashes(record: Uint8Array): void {
    const id = this.session.extensionId('hashes');
    if (id !== undefined) this.send({ type: 'extended', id, payload: record });
  }

  /** Passes on a signed hash batch before the first have that the peer needs it for. */
  queueHashes(batch: PieceHashes): void {
    this.#news.addHashes(batch);
  }

  /** The peer has shown that it knows this batch already. */
  dropQueuedHashes(record: Uint8Array): void {
    this.#news.dropHashes(record);
  }

  /** Tells or passes on how far the seeder has read, as it signed it. */
  sendProgress(payload: Uint8Array): void {
    const id = this.session.extensionId('progress');
    if (id !== undefined) this.send({ type: 'extended', id, payload });
  }

  /** Tells the peer which pieces we are fetching from another zone. */
  sendFetching(indexes: readonly number[]): void {
    const id = this.session.extensionId('fetching');
    if (id === undefined) return;
    for (let start = 0; start < indexes.length; start += MAX_FETCHING) {
      const payload = encodeFetching(indexes.slice(start, start + MAX_FETCHING));
      this.send({ type: 'extended', id, payload });
    }
  }

  /** Shows a newer grant. */
  sendGrant(grant: string): void {
    this.#grant = grant;
    const token = this.#tokens.own;
    this.send({ type: 'extended', id: EXTENSION.handshake, payload: this.#extendedHandshake(grant, token) });
    this.#tokens.noteShown(token);
  }

  /** There may be another registry token to show, or a key to judge the peer's with. */
  tokensChanged(): void {
    if (!this.isOpen) return;
    this.#tokens.retry();
    this.#showToken();
  }

  /** Begins or stops to serve the peer. What it had queued is rejected (BEP 6). */
  setChoking(isChoking: boolean): void {
    if (this.session.isChoking === isChoking || !this.isOpen) return;
    this.session.isChoking = isChoking;
    this.send({ type: isChoking ? 'choke' : 'unchoke' });
    if (isChoking) for (const block of this.#uploads?.clear() ?? []) this.#reject(block);
  }

  /** Sets and, if it changed, tells our interest. */
  setInterested(isInterested: boolean): void {
    if (this.session.isInterested === isInterested || !this.isOpen) return;
    this.session.isInterested = isInterested;
    this.#showToken();
    this.send({ type: isInterested ? 'interested' : 'not-interested' });
  }

  /** Serves a request that the session let through. */
  serve(block: BlockRange): void {
    this.#uploads?.push(block);
  }

  /** Answers a request that the session let through with a no. */
  refuse(block: BlockRange): void {
    this.#reject(block);
  }

  /** Takes back a request of the peer; it gets a reject in place of the block (BEP 6). */
  cancelUpload(block: BlockRange): void {
    if (this.#uploads?.cancel(block) === true) this.#reject(block);
  }

  /** Looks at the deadlines; called a few times a second. */
  tick(): void {
    const now = this.#clock.now();
    const { keepAliveMs, idleTimeoutMs, writeTimeoutMs } = this.#limits;
    if (!this.isOpen) return;
    if (this.#hasReceived) this.#lastReceivedAt = now;
    this.#hasReceived = false;
    this.flushNews();
    if (now >= this.endsAt) {
      this.close(new AppError('GRANT_REJECTED', { reason: 'grant or certificate has ended' }));
    } else if (now - this.#lastReceivedAt >= idleTimeoutMs) {
      this.close(new AppError('PEER_PROTOCOL', { reason: 'silent for too long' }));
    } else if (this.#pendingWrites > 0 && now - this.#lastWrittenAt >= writeTimeoutMs) {
      this.close(new AppError('PEER_PROTOCOL', { reason: 'does not read' }));
    } else if (now - this.#lastSentAt >= keepAliveMs) {
      this.send({ type: 'keep-alive' });
    }
  }

  /** Ends the connection at once, or `afterFlush` when what was written has left. Safe to call twice. */
  close(reason: unknown, { afterFlush = false }: { afterFlush?: boolean } = {}): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#deadline);
    const host = this.#host;
    this.session.close();
    this.#parser.close();
    this.#uploads?.close();
    this.#held = [];
    if (afterFlush) {
      this.#socket.end();
      const cut = setTimeout(() => this.#socket.destroy(), LINGER_MS);
      this.#socket.once('close', () => clearTimeout(cut));
    } else {
      this.#socket.destroy();
    }
    host?.closed(this);
    this.#gate.released(this, reason);
  }

  #showToken(): void {
    if (this.#grant !== undefined && this.#tokens.news !== undefined) this.sendGrant(this.#grant);
  }

  /** Never with a token: the peer has not shown its grant yet, or may not want one. */
  #greeting(swarmId: SwarmId, grant: string): Buffer {
    this.#grant = grant;
    const peerId = peerIdOf(this.local.id);
    return Buffer.concat([
      encodeHandshake({ swarmId, peerId, supportsExtended: true, supportsFast: true }),
      encodeMessage({ type: 'extended', id: EXTENSION.handshake, payload: this.#extendedHandshake(grant) }),
    ]);
  }

  #extendedHandshake(grant: string, token?: string): Buffer {
    const { maxQueuedRequests } = this.#limits;
    const handshake = {
      messages: OWN_EXTENSION_MESSAGES,
      version: CLIENT_VERSION,
      blockLength: this.#maxBlockLength,
    };
    const zone = this.#zone === undefined ? {} : { zone: this.#zone };
    const check = { ...(this.#demandsToken ? { demandsToken: true } : {}), ...(token === undefined ? {} : { token }) };
    return encodeExtendedHandshake({ ...handshake, ...zone, ...check, requestQueue: maxQueuedRequests, grant });
  }

  #takeGreeting(chunk: Uint8Array): void {
    const greeting = this.#preamble.push(chunk);
    if (greeting === undefined) return;
    if (greeting.extended === undefined) {
      this.#openPublic(greeting.handshake.swarmId, greeting.rest);
      return;
    }
    const { swarmId, grant } = this.session.greet(greeting.handshake, greeting.extended);
    this.#hold(greeting.rest);
    this.#socket.pause();
    this.#open(swarmId, grant).catch((error: unknown) => this.close(error));
  }

  async #open(swarmId: SwarmId, grant: string): Promise<void> {
    const claims = await this.#gate.verify(grant, { swarmId, remote: this.remote });
    if (this.#isClosed) return;
    const host = this.#gate.admit(this, swarmId);
    // Told apart from a bad grant by nothing that the other side can see.
    if (host === undefined) throw new AppError('PEER_PROTOCOL', { reason: 'no place for this peer' });
    if (!this.session.isDialer) this.#write(this.#greeting(swarmId, host.grant));
    this.session.open(claims, host.geometry);
    this.#begin(host);
    this.#releaseHeld();
  }

  /** A stock client in a public swarm: no grant on either side, and none of our extensions. */
  #openPublic(infoHash: SwarmId, rest: Buffer): void {
    const swarmId = this.#gate.publicSwarm(infoHash);
    const host = swarmId === undefined ? undefined : this.#gate.admit(this, swarmId);
    if (swarmId === undefined || host === undefined) {
      throw new AppError('PEER_PROTOCOL', { reason: 'no place for this peer' });
    }
    this.#write(this.#publicGreeting(infoHash));
    this.session.openPublic(swarmId, host.geometry);
    this.#begin(host);
    this.receive(rest, 0, rest.length);
  }

  #begin(host: ConnectionHost): void {
    clearTimeout(this.#deadline);
    this.#uploads = this.#newUploads(host);
    this.#host = host;
    host.opened(this);
  }

  #publicGreeting(infoHash: SwarmId): Buffer {
    const { maxQueuedRequests } = this.#limits;
    const extended = { messages: new Map(), version: CLIENT_VERSION, requestQueue: maxQueuedRequests };
    return Buffer.concat([
      encodeHandshake({
        swarmId: infoHash,
        peerId: peerIdOf(this.local.id),
        supportsExtended: true,
        supportsFast: true,
      }),
      encodeMessage({ type: 'extended', id: EXTENSION.handshake, payload: encodeExtendedHandshake(extended) }),
    ]);
  }

  #releaseHeld(): void {
    const held = this.#held;
    this.#held = [];
    for (const bytes of held) this.receive(bytes, 0, bytes.length);
    if (!this.#isClosed) this.#socket.resume();
  }

  /** Keeps what comes before the grant is verified. A dialer speaks again only after our answer, so there is nothing to keep of it. */
  #hold(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (!this.session.isDialer) throw new AppError('PEER_PROTOCOL', { reason: 'speaks before its grant is verified' });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > MAX_HELD_BYTES) throw new AppError('PEER_PROTOCOL', { reason: 'too much before the grant' });
    this.#held.push(Buffer.from(bytes));
  }

  #newUploads(host: ConnectionHost): UploadQueue {
    const { uploadBatchBytes, uploadBatchesPerConnection } = this.#limits;
    return new UploadQueue({
      geometry: host.geometry,
      buffers: this.#buffers,
      pacer: this.#uploadPacer,
      batchBytes: uploadBatchBytes,
      maxBatches: uploadBatchesPerConnection,
      sink: {
        read: (offset, into) => host.read(offset, into),
        write: (frames, done) => this.#write(frames, done),
        sent: (blocks) => {
          for (const block of blocks) {
            this.session.answered(block);
            host.event(this, { type: 'sent', length: block.length });
          }
        },
        failed: (blocks) => {
          for (const block of blocks) this.#reject(block);
        },
      },
    });
  }

  #reject(block: BlockRange): void {
    if (this.#isClosed) return;
    this.session.answered(block);
    this.send({ type: 'reject', ...block });
  }

  #onMessage(message: Exclude<Message, { type: 'piece' }>): void {
    const event = this.session.receive(message);
    if (event === undefined) return;
    if (event.type === 'refuse') {
      this.send({ type: 'reject', index: event.index, begin: event.begin, length: event.length });
    } else if (event.type === 'grant') {
      this.#renew(event);
    } else {
      this.#host?.event(this, event);
    }
  }

  /** One verification at a time; of what a peer shows meanwhile, the latest is next. */
  #renew(shown: { readonly grant: string; readonly token: string | undefined }): void {
    const { swarmId } = this.session;
    if (swarmId === undefined) return;
    if (this.#isRenewing) {
      this.#nextRenewal = shown;
      return;
    }
    const { grant, token } = shown;
    this.#isRenewing = true;
    this.#gate
      .verify(grant, { swarmId, remote: this.remote })
      .then((claims) => {
        this.session.renew(claims);
        this.#isRenewing = false;
        if (token !== undefined) this.#tokens.take(token);
        this.#host?.event(this, { type: 'interest' });
        const next = this.#nextRenewal;
        this.#nextRenewal = undefined;
        if (next !== undefined && !this.#isClosed) this.#renew(next);
      })
      .catch((error: unknown) => this.close(error));
  }

  #onPieceStart(block: BlockRange): Uint8Array | undefined {
    const kind = this.session.acceptBlock(block);
    const place = this.#host?.blockStarts(this, block);
    this.arriving = place === undefined ? undefined : block;
    // Settled at its end: until then its request counts as unanswered.
    if (kind === 'late') this.session.outstanding.settleLate(block);
    return place;
  }

  #onPieceEnd(block: BlockRange, isStored: boolean): void {
    this.arriving = undefined;
    this.#host?.blockEnded(this, block, isStored);
  }

  #peerHas(index: number): boolean {
    return this.handle?.pieces.has(index) === true;
  }

  #write(bytes: Uint8Array, done?: () => void): void {
    this.flushNews();
    if (this.#isClosed) return;
    if (this.#pendingWrites === 0) this.#lastWrittenAt = this.#clock.now();
    this.#pendingWrites += 1;
    this.#lastSentAt = this.#clock.now();
    // Small messages of one turn leave in one record. A batch of blocks is not worth joining: that copies it.
    if (!this.#isCorked && bytes.length < MIN_UNCORKED_BYTES) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes, () => {
      this.#pendingWrites -= 1;
      this.#lastWrittenAt = this.#clock.now();
      done?.();
    });
    if (this.#socket.writableLength > this.#limits.maxOutboundBytes) {
      this.close(new AppError('PEER_PROTOCOL', { reason: 'does not read what it asked for' }));
    }
  }
}

/** The buffers that {@link Connection} serves from. */
export function uploadBufferOptions(limits: PeerLimits): { length: number; max: number } {
  return { length: uploadBufferLength(limits.uploadBatchBytes), max: limits.maxUploadBuffers };
}
