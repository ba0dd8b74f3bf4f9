import type { BlockRange } from '@sealift/bittorrent';
import { Bitfield, BLOCK_LENGTH, type NodeId } from '@sealift/core';
import { AddressBook } from '../../packages/peer/src/address-book.ts';
import { DEFAULT_LIMITS, dialTarget } from '../../packages/peer/src/limits.ts';
import { Picker } from '../../packages/peer/src/picker.ts';
import { RequestScheduler } from '../../packages/peer/src/request-scheduler.ts';
import { RequestWindow } from '../../packages/peer/src/request-window.ts';
import { Link } from './link.ts';
import { SimSeeding } from './sim-seeding.ts';
import { Downlink, Uplink } from './uplink.ts';
import { type Messages, SCALE, type World } from './world.ts';

const LIMITS = DEFAULT_LIMITS;
/** From the last block of a piece to its being stored, in ms: a hash and a write of 1 MiB. */
const VERIFY_MS = 2;
/** CPU time of a TLS handshake at the end that accepts, in ms: one after the other. */
const HANDSHAKE_MS = 1.1;
/** Round trips of a dial: TCP, TLS, the handshakes of the protocol. */
const DIAL_ROUND_TRIPS = 4;
/** An answer of the tracker, in ms. */
const ANNOUNCE_MS = 5;
/** The tracker's interval, in ms. */
const ANNOUNCE_INTERVAL_MS = 30_000;

/** What a node is. Rates in scaled bytes per ms. */
export interface SimNodeOptions {
  readonly id: NodeId;
  readonly site: number;
  readonly upBytesPerMs: number;
  readonly downBytesPerMs: number;
  /** Whether it reads the blob from the registry. */
  readonly isSeeder: boolean;
}

/**
 * A node of the simulation: the glue that in production is `Swarm`, `PieceFetcher` and the sockets. What decides is the
 * code of production: picker, request scheduler and window, choker, super-seeder, address book.
 */
export class SimNode {
  readonly id: NodeId;
  readonly site: number;
  readonly isSeeder: boolean;
  readonly downlink: Downlink;
  readonly uplink: Uplink;
  readonly held: Bitfield;
  readonly links = new Map<SimNode, Link>();
  readonly messages: Messages = { haves: 0, interest: 0, chokes: 0, requests: 0, blocks: 0, wasted: 0, dials: 0 };
  /** When it began and when it had all, in ms. */
  joinedAt = 0;
  finishedAt: number | undefined;
  isGone = false;
  trackerRequests = 0;
  readonly #world: World;
  readonly #picker: Picker;
  readonly #scheduler: RequestScheduler<Link>;
  readonly #seeding: SimSeeding;
  readonly #book: AddressBook;
  readonly #known = new Map<string, SimNode>();
  /** Pieces whose signed hash has come. */
  readonly #hashes: Bitfield;
  #dialling = 0;
  /** Handshakes that it has accepted and not finished. */
  #pending = 0;
  #handshakesUntil = 0;
  #hungryRounds = 0;

  constructor(world: World, { id, site, upBytesPerMs, downBytesPerMs, isSeeder }: SimNodeOptions) {
    const { queue: clock, random, geometry, realGeometry } = world;
    const { pieceCount } = geometry;
    this.id = id;
    this.site = site;
    this.isSeeder = isSeeder;
    this.#world = world;
    this.downlink = new Downlink(clock, downBytesPerMs);
    this.uplink = new Uplink(clock, upBytesPerMs);
    this.held = new Bitfield(pieceCount);
    this.#hashes = new Bitfield(pieceCount);
    this.#seeding = new SimSeeding(this, world);
    this.#picker = new Picker({ pieceCount, random });
    const maxPieces = Math.max(2, Math.floor(LIMITS.maxPieceBytesPerSwarm / realGeometry.pieceLength));
    const takeBuffer = (): ArrayBuffer | undefined =>
      this.#scheduler.startedCount < maxPieces ? world.buffer : undefined;
    const mustBeExclusive = (): boolean => false;
    const picker = this.#picker;
    this.#scheduler = new RequestScheduler({ geometry, picker, clock, limits: LIMITS, takeBuffer, mustBeExclusive });
    this.#book = new AddressBook({
      clock,
      random,
      maxAddresses: LIMITS.maxAddressesPerSwarm,
      backoffMs: LIMITS.dialBackoffMs,
      maxBackoffMs: LIMITS.maxDialBackoffMs,
    });
  }

  /** One way, in ms. */
  latencyTo(other: SimNode): number {
    return this.site === other.site ? this.#world.latencyMs.near : this.#world.latencyMs.far;
  }

  /** Announces itself and looks for peers from now on. */
  start(): void {
    this.joinedAt = this.#world.queue.now();
    // The right to the blob.
    this.trackerRequests += 1;
    if (!this.isSeeder) this.#announce();
    // Spread, as processes that started at the same moment are.
    this.#world.queue.after(this.#world.random() * LIMITS.tickMs, () => this.#tick());
  }

  /** Vanishes without a word, as a process that is killed. */
  vanish(): void {
    this.isGone = true;
    for (const link of [...this.links.values()]) this.#close(link);
  }

  /** The seeder has read a piece and signed its hash. */
  ingested(index: number): void {
    this.held.add(index);
    this.#seeding.obtained(index);
  }

  /** A block came over `link`. */
  blockArrived(link: Link, block: BlockRange): void {
    if (!link.isOpen) return;
    const { index, length } = block;
    const now = this.#world.queue.now();
    const requestedAt = link.outstanding.settle(block);
    link.lastBlockAt = now;
    link.snubs = 0;
    link.givenSinceRound += length * SCALE;
    this.messages.blocks += 1;
    if (requestedAt !== undefined) link.window.received(length, requestedAt);
    if (link.outstanding.count === 0) link.window.idle();
    const assembly = this.#scheduler.assembly(index);
    if (assembly?.begin(block, link) === undefined) {
      this.messages.wasted += 1;
    } else {
      assembly.end(block, link, now);
      if (requestedAt !== undefined) assembly.unask(block);
      if (assembly.isAsked(block)) this.#cancel(block);
      if (assembly.isWhole) {
        this.#scheduler.finish(index);
        this.#world.queue.after(VERIFY_MS, () => this.#verified(index));
      }
    }
    this.#fill(link);
  }

  /** The other end of `link` has these pieces too. The signed hash of a piece goes before the first word of it. */
  peerGained(link: Link, indexes: readonly number[]): void {
    if (!link.isOpen || link.handle === undefined) return;
    for (const index of indexes) {
      this.#hashKnown(index);
      if (!this.#picker.gained(link.handle, index)) continue;
      if (!this.held.has(index)) link.wantedCount += 1;
      this.#seeding.peerGained(link, index);
    }
    this.#updateInterest(link);
    this.#fill(link);
    this.#closeIfUseless(link);
  }

  /** The other end serves us from now on, or no more; what it does not serve of our requests it names. */
  choked(link: Link, isChoked: boolean, refused: readonly BlockRange[]): void {
    if (!link.isOpen) return;
    link.isChoked = isChoked;
    const lost = refused.filter((block) => link.outstanding.settle(block) !== undefined);
    this.#scheduler.release(link, lost, { isGone: false });
    if (!isChoked) this.#fill(link);
    else if (lost.length > 0) for (const other of this.links.values()) this.#fill(other);
  }

  peerInterested(link: Link, isInterested: boolean): void {
    if (!link.isOpen) return;
    this.#seeding.peerInterested(link, isInterested);
  }

  /** Blocks that the other end asks for. */
  requested(link: Link, blocks: readonly BlockRange[]): void {
    if (!link.isOpen) return;
    if (link.isChoking) {
      this.send(link, (mirror) => mirror.node.choked(mirror, true, blocks));
      return;
    }
    link.uploads.push(...blocks);
    this.uplink.enter(link);
  }

  cancelled(link: Link, { index, begin }: BlockRange): void {
    link.uploads = link.uploads.filter((block) => block.index !== index || block.begin !== begin);
  }

  /** Lets the other end of an open connection learn something, after the way there. */
  send(link: Link, learn: (mirror: Link) => void): void {
    const { mirror } = link;
    this.#world.queue.after(this.latencyTo(link.remote), () => {
      if (mirror.isOpen) learn(mirror);
    });
  }

  /** Somebody dials. `answer` is called at the other end, with whether it is let in. */
  accept(dialler: SimNode, answer: (isAccepted: boolean) => void): void {
    const { queue } = this.#world;
    const latency = this.latencyTo(dialler);
    queue.after(latency, () => {
      if (this.isGone || this.#pending >= LIMITS.maxPendingHandshakes) {
        queue.after(latency, () => answer(false));
        return;
      }
      this.#pending += 1;
      this.#handshakesUntil = Math.max(queue.now(), this.#handshakesUntil) + HANDSHAKE_MS;
      queue.at(this.#handshakesUntil + (DIAL_ROUND_TRIPS - 1) * 2 * latency, () => {
        this.#pending -= 1;
        const isWelcome = !this.isGone && !dialler.isGone && !this.links.has(dialler);
        const hasRoom = this.links.size < LIMITS.maxConnectionsPerSwarm;
        if (isWelcome && hasRoom) this.#open(dialler);
        queue.after(latency, () => answer(isWelcome && hasRoom));
      });
    });
  }

  #open(dialler: SimNode): void {
    const [ours, theirs] = [this.#linkTo(dialler), dialler.#linkTo(this)];
    ours.mirror = theirs;
    theirs.mirror = ours;
    this.#greet(ours);
    dialler.#greet(theirs);
  }

  #linkTo(remote: SimNode): Link {
    const window = new RequestWindow({
      clock: this.#world.queue,
      minBytes: Math.max(BLOCK_LENGTH, LIMITS.minWindowBytes / SCALE),
      maxBytes: LIMITS.maxWindowBytes / SCALE,
    });
    const link = new Link(this, remote, window);
    this.links.set(remote, link);
    return link;
  }

  /** The first word: what we have. */
  #greet(link: Link): void {
    const pieces = this.#seeding.greeting(link);
    this.send(link, (mirror) => mirror.node.#peerHas(mirror, pieces));
  }

  #peerHas(link: Link, pieces: Bitfield): void {
    link.handle = this.#picker.addPeer(pieces);
    for (let index = 0; index < pieces.length; index += 1) {
      if (!pieces.has(index)) continue;
      this.#hashKnown(index);
      if (!this.held.has(index)) link.wantedCount += 1;
    }
    this.#seeding.join(link);
    this.#updateInterest(link);
    this.#closeIfUseless(link);
  }

  #hashKnown(index: number): void {
    if (this.#hashes.add(index) && !this.held.has(index)) this.#picker.want(index);
  }

  #verified(index: number): void {
    if (this.isGone || !this.held.add(index)) return;
    for (const link of this.links.values()) {
      if (link.handle?.pieces.has(index) !== true) continue;
      link.wantedCount -= 1;
      this.#updateInterest(link);
    }
    this.#seeding.obtained(index);
    if (!this.held.isFull) return;
    this.finishedAt = this.#world.queue.now();
    this.#announce();
    this.#world.finished(this);
    for (const link of [...this.links.values()]) this.#closeIfUseless(link);
  }

  /** As `PieceFetcher.fill` does. */
  #fill(link: Link): void {
    if (!link.isOpen || link.isChoked || link.handle === undefined || link.wantedCount === 0) return;
    const { outstanding } = link;
    const window = link.snubs > 0 ? BLOCK_LENGTH : link.window.bytes;
    const room = window - outstanding.bytes;
    if (room <= 0 || (outstanding.count > 0 && room < window / 4)) return;
    const wasIdle = outstanding.count === 0;
    const isLastStretch = this.#hashes.isFull;
    const blocks = this.#scheduler.choose(link, link.handle, room, { isLastStretch });
    if (blocks.length === 0) return;
    if (wasIdle) link.lastBlockAt = this.#world.queue.now();
    this.messages.requests += blocks.length;
    this.send(link, (mirror) => mirror.node.requested(mirror, blocks));
  }

  /** The block is here: nobody else needs to send it. */
  #cancel(block: BlockRange): void {
    const assembly = this.#scheduler.assembly(block.index);
    for (const link of this.links.values()) {
      if (!link.outstanding.giveUp(block)) continue;
      assembly?.unask(block);
      this.messages.requests += 1;
      this.send(link, (mirror) => mirror.node.cancelled(mirror, block));
    }
  }

  /** As `Swarm` does: that a peer has nothing for us waits for the next tick. */
  #updateInterest(link: Link, { isLossTold = this.held.isFull } = {}): void {
    const isInterested = !this.held.isFull && link.wantedCount > 0;
    if (link.isInterested === isInterested || !(isInterested || isLossTold)) return;
    link.isInterested = isInterested;
    this.messages.interest += 1;
    this.send(link, (mirror) => mirror.node.peerInterested(mirror, isInterested));
  }

  #closeIfUseless(link: Link): void {
    if (!this.isSeeder && this.held.isFull && link.handle?.pieces.isFull === true) this.#close(link);
  }

  #close(link: Link): void {
    if (!link.isOpen) return;
    link.node.#lose(link);
    const { mirror } = link;
    this.#world.queue.after(this.latencyTo(link.remote), () => {
      if (mirror.isOpen) mirror.node.#lose(mirror);
    });
  }

  #lose(link: Link): void {
    link.isOpen = false;
    this.links.delete(link.remote);
    this.#scheduler.release(link, link.outstanding.blocks(), { isGone: true });
    if (link.handle !== undefined) this.#picker.removePeer(link.handle);
    this.#seeding.leave(link);
    if (link.outstanding.count > 0) for (const other of this.links.values()) this.#fill(other);
  }

  #tick(): void {
    if (this.isGone || this.#world.isOver) return;
    const now = this.#world.queue.now();
    for (const link of this.links.values()) {
      this.#watch(link, now);
      this.#updateInterest(link, { isLossTold: true });
    }
    if (!this.held.isFull) {
      this.#scheduler.dropIdle();
      for (const link of this.links.values()) this.#fill(link);
      this.#dial();
    }
    this.#seeding.tick();
    this.#world.queue.after(LIMITS.tickMs, () => this.#tick());
  }

  /** A peer that owes blocks and completes none gives them back to others. */
  #watch(link: Link, now: number): void {
    if (link.outstanding.count === 0 || now - link.lastBlockAt < LIMITS.requestTimeoutMs) return;
    link.snubs += 1;
    link.lastBlockAt = now;
    const blocks = [...link.outstanding.blocks()];
    for (const block of blocks) link.outstanding.giveUp(block);
    this.#scheduler.release(link, blocks, { isGone: false });
  }

  #announce(): void {
    const { queue, random } = this.#world;
    this.trackerRequests += 1;
    queue.after(ANNOUNCE_MS, () => {
      if (this.isGone) return;
      for (const peer of this.#world.announce(this)) {
        this.#known.set(peer.id, peer);
        this.#book.add({ host: peer.id, port: 1, peerId: undefined });
      }
      this.#dial();
      if (this.held.isFull) return;
      const isHungry = this.links.size + this.#dialling < LIMITS.wantedConnections;
      this.#hungryRounds = isHungry ? this.#hungryRounds + 1 : 0;
      const wait = isHungry ? LIMITS.minAnnounceMs * 2 ** Math.min(this.#hungryRounds - 1, 10) : ANNOUNCE_INTERVAL_MS;
      queue.after(Math.min(wait, ANNOUNCE_INTERVAL_MS) * (1 + random() * 0.2), () => {
        if (!this.isGone && !this.held.isFull && !this.#world.isOver) this.#announce();
      });
    });
  }

  #dial(): void {
    if (this.isSeeder || this.held.isFull) return;
    // All that are open and all that are being dialled count, whoever dialled.
    const target = dialTarget(LIMITS, { fetchingMs: this.#world.queue.now() - this.joinedAt, isZoned: false });
    while (this.links.size + this.#dialling < target && this.#dialling < LIMITS.maxDials) {
      const address = this.#book.next(({ host }) => !this.links.has(this.#known.get(host) as SimNode));
      const remote = address === undefined ? undefined : this.#known.get(address.host);
      if (address === undefined || remote === undefined) return;
      this.#dialling += 1;
      this.messages.dials += 1;
      remote.accept(this, (isAccepted) => {
        this.#dialling -= 1;
        if (!isAccepted) this.#book.failed(address);
        this.#dial();
      });
    }
  }
}
