import type { Clock, ProvenRight, SwarmId } from '@sealift/core';
import { claimsOfOwn } from './own-grant.ts';
import type { GrantSource } from './ports.ts';

/** A grant and when it ends. */
export interface HeldGrant {
  readonly grant: string;
  /** ms since the epoch. */
  readonly expiresAt: number;
}

/**
 * Asks for new grants in place of old ones; `undefined` where there is none any more. Rejects when the asking itself
 * failed, in which case the old ones are kept and asked for again.
 */
export type RefreshGrants = (
  held: readonly { readonly swarmId: SwarmId; readonly grant: string }[],
  options: { signal: AbortSignal },
) => Promise<readonly (HeldGrant | undefined)[]>;

/** How often we look for grants that near their end, in ms: well below the shortest life of a grant. */
const CHECK_INTERVAL_MS = 15_000;
/** A grant with less life than this is renewed, in ms. */
const RENEW_BEFORE_MS = 5 * 60_000;
/** Grants in one call; the tracker takes no more (`MAX_GRANTS_PER_REFRESH`). */
const BATCH = 256;
/** Grants held at most: about one for each blob that a store of default size holds. The least recently put goes first. */
const MAX_GRANTS = 10_000;

/** Keeps the grants of this process alive: before they end, and after a new certificate, which they are bound to. */
export class GrantKeeper implements GrantSource {
  readonly #held = new Map<SwarmId, HeldGrant>();
  readonly #listeners = new Set<(swarmId: SwarmId) => void>();
  readonly #clock: Clock;
  readonly #refresh: RefreshGrants;
  readonly #stopped = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> | undefined;
  #mustRefreshAll = false;

  constructor({ clock, refresh }: { clock: Clock; refresh: RefreshGrants }) {
    this.#clock = clock;
    this.#refresh = refresh;
  }

  async start(): Promise<void> {
    if (this.#timer !== undefined || this.#stopped.signal.aborted) return;
    this.#timer = setInterval(() => this.#check(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    clearInterval(this.#timer);
    await this.#work;
  }

  grantFor(swarmId: SwarmId): string | undefined {
    const held = this.#held.get(swarmId);
    return held !== undefined && held.expiresAt > this.#clock.now() ? held.grant : undefined;
  }

  /** The same with its end; also one that has ended. */
  heldFor(swarmId: SwarmId): HeldGrant | undefined {
    return this.#held.get(swarmId);
  }

  onChange(listener: (swarmId: SwarmId) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a grant in place of the one held before. */
  put(swarmId: SwarmId, grant: HeldGrant): void {
    const held = this.#held.get(swarmId);
    this.#held.delete(swarmId);
    this.#held.set(swarmId, grant);
    if (this.#held.size > MAX_GRANTS) {
      for (const oldest of this.#held.keys()) {
        this.drop(oldest);
        break;
      }
    }
    if (held?.grant !== grant.grant) this.#tell(swarmId);
  }

  /** Forgets the grant of a swarm. */
  drop(swarmId: SwarmId): void {
    if (this.#held.delete(swarmId)) this.#tell(swarmId);
  }

  /** Forgets the grants whose right `isRevoked`: the next request for each blob asks the registry anew. */
  dropRevoked(isRevoked: (right: ProvenRight) => boolean): void {
    for (const [swarmId, { grant }] of [...this.#held]) {
      const right = claimsOfOwn(grant)?.right;
      if (right !== undefined && isRevoked(right)) this.drop(swarmId);
    }
  }

  /** Renews every grant now: the certificate that they are bound to has been replaced. */
  refreshAll(): void {
    this.#mustRefreshAll = true;
    this.#check();
  }

  #tell(swarmId: SwarmId): void {
    for (const listener of this.#listeners) listener(swarmId);
  }

  #check(): void {
    if (this.#work !== undefined || this.#stopped.signal.aborted) return;
    const now = this.#clock.now();
    const isAll = this.#mustRefreshAll;
    const due = [...this.#held].filter(([, held]) => isAll || held.expiresAt - now < RENEW_BEFORE_MS);
    this.#mustRefreshAll = false;
    if (due.length === 0) return;
    this.#work = this.#renew(due.map(([swarmId, held]) => ({ swarmId, grant: held.grant }))).then(
      () => this.#done(),
      () => {
        // The tracker is away: it is asked again at the next check, and grants that ended meanwhile are not used.
        this.#mustRefreshAll ||= isAll;
        this.#work = undefined;
      },
    );
  }

  #done(): void {
    this.#work = undefined;
    if (this.#mustRefreshAll) this.#check();
  }

  async #renew(due: readonly { swarmId: SwarmId; grant: string }[]): Promise<void> {
    for (let start = 0; start < due.length; start += BATCH) {
      const batch = due.slice(start, start + BATCH);
      const renewed = await this.#refresh(batch, { signal: this.#stopped.signal });
      for (const [index, { swarmId, grant }] of batch.entries()) {
        // A join may have brought a newer one while we asked.
        if (this.#held.get(swarmId)?.grant !== grant) continue;
        const next = renewed[index];
        if (next === undefined) this.drop(swarmId);
        else this.put(swarmId, next);
      }
    }
  }
}
