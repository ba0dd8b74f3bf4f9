import { Bitfield } from '@sealift/core';
import { Choker, type ChokerPeer } from '../../packages/peer/src/choker.ts';
import { DEFAULT_LIMITS } from '../../packages/peer/src/limits.ts';
import { newsPauseMs, SEEDER_NEWS_PAUSE_MS } from '../../packages/peer/src/neighbour-news.ts';
import { type Reveal, SuperSeeder } from '../../packages/peer/src/super-seeder.ts';
import type { Link } from './link.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

const LIMITS = DEFAULT_LIMITS;
/** Where peers compete for slots, what happens within so long, in ms, is decided at once: production decides each time. */
const DECISION_MS = 2;

/** Haves that are gathered for some neighbours. */
interface News {
  readonly indexes: number[];
  isDue: boolean;
  toldAt: number;
}

/** The uploading half of a simulated node; in production `Seeding`. */
export class SimSeeding {
  readonly #node: SimNode;
  readonly #world: World;
  readonly #choker: Choker<Link>;
  /** Peers that want something from us, and those of them that we serve. */
  readonly #interested = new Set<Link>();
  readonly #served = new Set<Link>();
  /** Whether there were more of them than slots when we last chose. */
  #isContended = false;
  #isDecisionDue = false;
  #superSeeder: SuperSeeder<Link> | undefined;
  readonly #news: News = { indexes: [], isDue: false, toldAt: Number.NEGATIVE_INFINITY };
  readonly #newsForSeeder: News = { indexes: [], isDue: false, toldAt: Number.NEGATIVE_INFINITY };

  constructor(node: SimNode, world: World) {
    const { queue: clock, realGeometry: geometry } = world;
    this.#node = node;
    this.#world = world;
    this.#choker = new Choker({ clock, roundMs: LIMITS.chokeRoundMs });
    if (node.isSeeder) this.#superSeeder = new SuperSeeder({ geometry, clock, idleMs: LIMITS.superSeedIdleMs });
  }

  get #slots(): number {
    const { superSeedSlots, uploadSlotsPerSwarm } = LIMITS;
    return this.#superSeeder === undefined ? uploadSlotsPerSwarm : Math.max(superSeedSlots, uploadSlotsPerSwarm);
  }

  /** What a new peer is told that we have. */
  greeting(link: Link): Bitfield {
    const { held } = this.#node;
    if (this.#superSeeder === undefined) return Bitfield.fromBytes(held.toBytes(), held.length);
    link.revealed = new Set();
    return new Bitfield(held.length);
  }

  /** The peer has said what it has. */
  join(link: Link): void {
    if (this.#superSeeder === undefined || link.handle === undefined) return;
    if (link.revealed !== undefined) this.#apply(this.#superSeeder.addPeer(link, link.handle.pieces));
    this.#endSuperSeeding();
  }

  leave(link: Link): void {
    if (this.#superSeeder !== undefined) this.#apply(this.#superSeeder.removePeer(link));
    this.#interested.delete(link);
    this.#served.delete(link);
    if (this.#isContended) this.#decideSoon();
  }

  peerGained(link: Link, index: number): void {
    if (this.#superSeeder === undefined) return;
    this.#apply(this.#superSeeder.sawPiece(link, index));
    this.#endSuperSeeding();
  }

  obtained(index: number): void {
    if (this.#superSeeder !== undefined) {
      this.#apply(this.#superSeeder.addPiece(index));
      return;
    }
    const { links } = this.#node;
    this.#gather(this.#news, index, newsPauseMs(links.size), () =>
      [...links.values()].filter(({ remote }) => !remote.isSeeder),
    );
    this.#gather(this.#newsForSeeder, index, SEEDER_NEWS_PAUSE_MS, () =>
      [...links.values()].filter(({ remote }) => remote.isSeeder),
    );
  }

  /** In production a have may also leave earlier, with something else. */
  #gather(news: News, index: number, pauseMs: number, audience: () => Link[]): void {
    news.indexes.push(index);
    if (news.isDue) return;
    const tell = (): void => {
      news.isDue = false;
      news.toldAt = this.#world.queue.now();
      this.#tell(audience(), news.indexes.splice(0));
    };
    const wait = news.toldAt + pauseMs - this.#world.queue.now();
    if (wait <= 0) {
      tell();
      return;
    }
    news.isDue = true;
    this.#world.queue.after(wait, tell);
  }

  peerInterested(link: Link, isInterested: boolean): void {
    if (isInterested) this.#interested.add(link);
    else this.#interested.delete(link);
    if (this.#isContended || this.#interested.size > this.#slots) this.#decideSoon();
    // The choker serves all for whom there is a slot.
    else if (isInterested) this.#serve(link);
    else this.#stopServing(link);
  }

  tick(): void {
    if (this.#superSeeder !== undefined) this.#apply(this.#superSeeder.tick());
    this.#decide();
    for (const link of this.#node.links.values()) link.givenSinceRound *= 0.95;
  }

  #decideSoon(): void {
    if (this.#isDecisionDue) return;
    this.#isDecisionDue = true;
    this.#world.queue.after(DECISION_MS, () => {
      this.#isDecisionDue = false;
      this.#decide();
    });
  }

  /** Hands out the upload slots, where there are fewer than peers that want one. */
  #decide(): void {
    const slots = this.#slots;
    if (!this.#isContended) {
      if (this.#interested.size <= slots) {
        for (const link of this.#interested) if (!this.#served.has(link)) this.#serve(link);
        return;
      }
      // The choker learns who is served already: it was not asked while there was nothing to choose.
      this.#choker.decide(facts(this.#served), slots);
    }
    this.#isContended = this.#interested.size > slots;
    const chosen = this.#choker.decide(facts(this.#interested), slots);
    for (const link of [...this.#served]) if (!chosen.has(link)) this.#stopServing(link);
    for (const link of chosen) if (!this.#served.has(link)) this.#serve(link);
  }

  #serve(link: Link): void {
    if (link.handle === undefined) return;
    this.#served.add(link);
    this.#setChoking(link, false);
  }

  #stopServing(link: Link): void {
    if (this.#served.delete(link)) this.#setChoking(link, true);
  }

  #setChoking(link: Link, isChoking: boolean): void {
    link.isChoking = isChoking;
    this.#node.messages.chokes += 1;
    const refused = isChoking ? link.uploads : [];
    if (isChoking) link.uploads = [];
    this.#node.send(link, (mirror) => mirror.node.choked(mirror, isChoking, refused));
  }

  #tell(all: readonly Link[], news: readonly number[]): void {
    const sites = new Map<number, Link[]>();
    for (const link of all) {
      this.#node.messages.haves += news.length;
      const group = sites.get(this.#node.latencyTo(link.remote));
      if (group === undefined) sites.set(this.#node.latencyTo(link.remote), [link]);
      else group.push(link);
    }
    // One event for all that are equally far: haves are most of what happens.
    for (const [latency, links] of sites) {
      this.#world.queue.after(latency, () => {
        for (const { mirror } of links) mirror.node.peerGained(mirror, news);
      });
    }
  }

  #apply(reveals: readonly Reveal<Link>[]): void {
    const byPeer = new Map<Link, number[]>();
    for (const { peer, index } of reveals) {
      peer.revealed?.add(index);
      const indexes = byPeer.get(peer);
      if (indexes === undefined) byPeer.set(peer, [index]);
      else indexes.push(index);
    }
    for (const [link, indexes] of byPeer) this.#show(link, indexes);
  }

  #show(link: Link, indexes: readonly number[]): void {
    this.#node.messages.haves += indexes.length;
    this.#node.send(link, (mirror) => mirror.node.peerGained(mirror, indexes));
  }

  #endSuperSeeding(): void {
    if (this.#superSeeder?.isOver !== true) return;
    this.#superSeeder = undefined;
    const { held } = this.#node;
    for (const link of this.#node.links.values()) {
      const { revealed } = link;
      if (revealed === undefined) continue;
      link.revealed = undefined;
      const all = Array.from({ length: held.length }, (_, index) => index);
      this.#show(
        link,
        all.filter((index) => held.has(index) && !revealed.has(index)),
      );
    }
  }
}

function facts(links: ReadonlySet<Link>): Map<Link, ChokerPeer> {
  const peers = new Map<Link, ChokerPeer>();
  for (const link of links) {
    const { handle, givenSinceRound: given } = link;
    if (handle === undefined) continue;
    peers.set(link, {
      isInterested: true,
      mayReceive: true,
      missing: handle.pieces.length - handle.pieces.count,
      given,
    });
  }
  return peers;
}
