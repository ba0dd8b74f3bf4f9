import type { BlockRange } from '@sealift/bittorrent';
import type { Clock } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';
import { Choker, type ChokerPeer } from './choker.ts';
import type { Connection } from './connection.ts';
import type { PeerLimits } from './limits.ts';
import { newsPauseMs, SEEDER_NEWS_PAUSE_MS } from './neighbour-news.ts';
import { type Reveal, SuperSeeder } from './super-seeder.ts';

/** The uploading half of a swarm: who is served, who is told of which piece, and the answer to each request. */
export class Seeding {
  readonly #blob: StoredBlob;
  readonly #connections: ReadonlySet<Connection>;
  readonly #limits: PeerLimits;
  readonly #clock: Clock;
  readonly #choker: Choker<Connection>;
  readonly #slots: () => number;
  #superSeeder: SuperSeeder<Connection> | undefined;
  #decision: NodeJS.Immediate | undefined;
  #newsTimer: NodeJS.Timeout | undefined;
  #lastToldAt = 0;
  #served = 0;

  constructor(options: {
    blob: StoredBlob;
    connections: ReadonlySet<Connection>;
    limits: PeerLimits;
    clock: Clock;
    /** Upload slots that this swarm may use now. */
    slots: () => number;
  }) {
    this.#blob = options.blob;
    this.#connections = options.connections;
    this.#limits = options.limits;
    this.#clock = options.clock;
    this.#slots = options.slots;
    this.#choker = new Choker({ clock: options.clock, roundMs: options.limits.chokeRoundMs });
  }

  /** Peers that are being served. */
  get served(): number {
    return this.#served;
  }

  /** Pieces are shown one by one, because we hold the only copy. */
  get isSuperSeeding(): boolean {
    return this.#superSeeder !== undefined;
  }

  /** From now on pieces are shown one by one: we hold the only copy. */
  superSeed(): void {
    if (this.#superSeeder !== undefined) return;
    const { superSeedIdleMs: idleMs } = this.#limits;
    this.#superSeeder = new SuperSeeder({ geometry: this.#blob.geometry, clock: this.#clock, idleMs });
    for (let index = 0; index < this.#blob.bitfield.length; index += 1) {
      if (this.#blob.bitfield.has(index)) this.#apply(this.#superSeeder.addPiece(index));
    }
  }

  /** The first word of an open session: what we hold. */
  greet(connection: Connection): void {
    const { bitfield } = this.#blob;
    // A far peer restrains itself: what others of its zone fetch it does not ask for.
    if (this.#superSeeder !== undefined && !connection.isFar) {
      connection.revealed = new Set();
      connection.send({ type: 'have-none' });
    } else if (bitfield.isFull) connection.send({ type: 'have-all' });
    else if (bitfield.count === 0) connection.send({ type: 'have-none' });
    else connection.send({ type: 'bitfield', bytes: bitfield.toBytes() });
  }

  /** The peer has said what it holds. */
  join(connection: Connection): void {
    if (this.#superSeeder === undefined || connection.handle === undefined) return;
    if (connection.revealed !== undefined) this.#apply(this.#superSeeder.addPeer(connection, connection.handle.pieces));
    this.#endSuperSeeding();
  }

  leave(connection: Connection): void {
    if (this.#superSeeder !== undefined) this.#apply(this.#superSeeder.removePeer(connection));
    this.decide();
  }

  /** The peer has one piece more. */
  peerGained(connection: Connection, index: number): void {
    if (this.#superSeeder === undefined) return;
    this.#apply(this.#superSeeder.sawPiece(connection, index));
    this.#endSuperSeeding();
  }

  /** We hold one piece more. */
  obtained(index: number): void {
    if (this.#superSeeder !== undefined) {
      this.#apply(this.#superSeeder.addPiece(index));
      // The others are told piece by piece.
      if (![...this.#connections].some(({ revealed }) => revealed === undefined)) return;
    }
    for (const connection of this.#connections) {
      if (connection.isOpen && connection.revealed === undefined) connection.queueHaves([index]);
    }
    if (this.#newsTimer !== undefined) return;
    const wait = this.#newsDueAt - this.#clock.now();
    if (wait <= 0) this.#tellNews();
    else this.#newsTimer = setTimeout(() => this.#tellNews(), Math.min(wait, SEEDER_NEWS_PAUSE_MS));
  }

  /** Answers a request that the session has let through. */
  answer(connection: Connection, block: BlockRange): void {
    const isShown = connection.revealed === undefined || connection.revealed.has(block.index);
    if (isShown && this.#blob.bitfield.has(block.index)) connection.serve(block);
    else connection.refuse(block);
  }

  /** Hands out the upload slots once all that has come in is taken in: what comes in one chunk often takes itself back. */
  decideSoon(): void {
    this.#decision ??= setImmediate(() => this.decide());
  }

  /** Hands out the upload slots. */
  decide(): void {
    clearImmediate(this.#decision);
    this.#decision = undefined;
    const peers = new Map<Connection, ChokerPeer>();
    for (const connection of this.#connections) {
      const { session, handle } = connection;
      if (!connection.isOpen || handle === undefined) continue;
      peers.set(connection, {
        isInterested: session.isPeerInterested,
        mayReceive: session.mayReceive,
        missing: handle.pieces.length - handle.pieces.count,
        given: connection.givenSinceRound,
      });
    }
    const served = this.#choker.decide(peers, peers.size === 0 ? 0 : this.#slots());
    this.#served = served.size;
    for (const connection of peers.keys()) connection.setChoking(!served.has(connection));
  }

  tick(): void {
    if (this.#superSeeder !== undefined) this.#apply(this.#superSeeder.tick());
    this.decide();
    // What a peer gave counts for a while, not for ever.
    for (const connection of this.#connections) connection.givenSinceRound *= 0.95;
  }

  stop(): void {
    clearTimeout(this.#newsTimer);
    this.#newsTimer = undefined;
    clearImmediate(this.#decision);
    this.#decision = undefined;
    this.#superSeeder = undefined;
  }

  #tellNews(): void {
    this.#newsTimer = undefined;
    const now = this.#clock.now();
    const isDue = now >= this.#newsDueAt;
    for (const connection of [...this.#connections]) {
      // Whoever holds a piece itself has time until the next tick, or until there is something else to say to it.
      if (connection.remote.role === 'seeder' || (isDue && connection.awaitsNews)) connection.flushNews();
    }
    if (isDue) this.#lastToldAt = now;
    else this.#newsTimer = setTimeout(() => this.#tellNews(), Math.min(this.#newsDueAt - now, SEEDER_NEWS_PAUSE_MS));
  }

  get #newsDueAt(): number {
    return this.#lastToldAt + newsPauseMs(this.#connections.size);
  }

  #apply(reveals: readonly Reveal<Connection>[]): void {
    const byPeer = new Map<Connection, number[]>();
    for (const { peer, index } of reveals) {
      peer.revealed?.add(index);
      const indexes = byPeer.get(peer);
      if (indexes === undefined) byPeer.set(peer, [index]);
      else indexes.push(index);
    }
    for (const [peer, indexes] of byPeer) peer.sendHaves(indexes);
  }

  #endSuperSeeding(): void {
    if (this.#superSeeder?.isOver !== true) return;
    this.#superSeeder = undefined;
    for (const connection of this.#connections) {
      const { revealed } = connection;
      if (revealed === undefined) continue;
      connection.revealed = undefined;
      const all = Array.from({ length: this.#blob.bitfield.length }, (_, index) => index);
      connection.sendHaves(all.filter((index) => this.#blob.bitfield.has(index) && !revealed.has(index)));
    }
  }
}
