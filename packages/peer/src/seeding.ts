import type { BlockRange } from '@sealift/bittorrent';
import type { Clock } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';
import { Choker, type ChokerPeer } from './choker.ts';
import type { Connection } from './connection.ts';
import type { PeerLimits } from './limits.ts';
import { type Reveal, SuperSeeder } from './super-seeder.ts';

/** Haves of one connection are gathered for so long, in ms: each write costs more than the nine bytes it carries. */
const HAVE_PAUSE_MS = 20;

/** The uploading half of a swarm: who is served, who is told of which piece, and the answer to each request. */
export class Seeding {
  readonly #blob: StoredBlob;
  readonly #connections: ReadonlySet<Connection>;
  readonly #limits: PeerLimits;
  readonly #clock: Clock;
  readonly #choker: Choker<Connection>;
  readonly #slots: () => number;
  #superSeeder: SuperSeeder<Connection> | undefined;
  #news: number[] = [];
  #newsTimer: NodeJS.Timeout | undefined;
  #lastNewsAt = 0;
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
    this.#news.push(index);
    if (this.#newsTimer !== undefined) return;
    const wait = this.#lastNewsAt + HAVE_PAUSE_MS - this.#clock.now();
    if (wait <= 0) this.#tellNews();
    else this.#newsTimer = setTimeout(() => this.#tellNews(), wait);
  }

  /** Answers a request that the session has let through. */
  answer(connection: Connection, block: BlockRange): void {
    const isShown = connection.revealed === undefined || connection.revealed.has(block.index);
    if (isShown && this.#blob.bitfield.has(block.index)) connection.serve(block);
    else connection.refuse(block);
  }

  /** Hands out the upload slots. */
  decide(): void {
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
    this.#news = [];
    this.#superSeeder = undefined;
  }

  #tellNews(): void {
    this.#newsTimer = undefined;
    this.#lastNewsAt = this.#clock.now();
    const news = this.#news;
    this.#news = [];
    for (const connection of [...this.#connections]) {
      if (connection.isOpen && connection.revealed === undefined) connection.sendHaves(news);
    }
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
    // To those who were told everything all along; the others get it with the rest.
    clearTimeout(this.#newsTimer);
    this.#tellNews();
    for (const connection of this.#connections) {
      const { revealed } = connection;
      if (revealed === undefined) continue;
      connection.revealed = undefined;
      const all = Array.from({ length: this.#blob.bitfield.length }, (_, index) => index);
      connection.sendHaves(all.filter((index) => this.#blob.bitfield.has(index) && !revealed.has(index)));
    }
  }
}
