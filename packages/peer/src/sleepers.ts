import type { AnnounceAnswer } from '@sealift/bittorrent';
import { isAppError, type SwarmId } from '@sealift/core';
import type { StoredBlob } from '@sealift/store';
import { believedInterval, FALLBACK_INTERVAL_MS } from './announcer.ts';
import { announceOf } from './blob-announce.ts';
import type { SwarmEnvironment } from './swarm.ts';

/** A blob whose swarm sleeps: some hundred bytes beside what the store knows of it. */
interface Sleeper {
  readonly blob: StoredBlob;
  /** When it is announced next, in ms; never while there is no grant to do it with. */
  dueAt: number;
  /** The tracker has heard of it. */
  isKnown: boolean;
}

/** What sleeping swarms need of the engine around them. */
export type SleeperEnvironment = Pick<
  SwarmEnvironment,
  'announce' | 'announceGate' | 'clock' | 'limits' | 'log' | 'random' | 'grant' | 'self' | 'zone'
>;

/**
 * The swarms that nobody needs right now. They have no object of their own, only a place in this list, out of which they
 * are announced at the interval, so that whoever needs one finds this process and wakes it. As many as the store has blobs.
 */
export class Sleepers {
  readonly #sleepers = new Map<SwarmId, Sleeper>();
  readonly #environment: SleeperEnvironment;
  readonly #answered: (blob: StoredBlob, answer: AnnounceAnswer) => void;
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  /** No sleeper is due before, in ms. */
  #nextAt = 0;
  /** The tracker did not answer, and would not answer for the next one either, in ms. */
  #pausedUntil = 0;

  constructor(o: { environment: SleeperEnvironment; answered: (blob: StoredBlob, answer: AnnounceAnswer) => void }) {
    this.#environment = o.environment;
    this.#answered = o.answered;
  }

  get size(): number {
    return this.#sleepers.size;
  }

  /** The blob of a swarm that sleeps. */
  get(swarmId: SwarmId): StoredBlob | undefined {
    return this.#sleepers.get(swarmId)?.blob;
  }

  /** Takes a swarm in. `dueAt` is when its next announce would have been; at once if the tracker has not heard of it. */
  add(blob: StoredBlob, { dueAt }: { dueAt?: number } = {}): void {
    const at = dueAt ?? this.#environment.clock.now();
    this.#sleepers.set(blob.swarmId, { blob, dueAt: at, isKnown: dueAt !== undefined });
    this.#nextAt = Math.min(this.#nextAt, at);
  }

  /** There may be a grant again. */
  granted(swarmId: SwarmId): void {
    const sleeper = this.#sleepers.get(swarmId);
    if (sleeper === undefined || Number.isFinite(sleeper.dueAt)) return;
    sleeper.dueAt = this.#environment.clock.now();
    this.#nextAt = Math.min(this.#nextAt, sleeper.dueAt);
  }

  /** It wakes: its swarm announces from now on. */
  remove(swarmId: SwarmId): void {
    this.#sleepers.delete(swarmId);
  }

  /** The blob is gone: says so to the tracker. */
  async leave(swarmId: SwarmId): Promise<void> {
    const sleeper = this.#sleepers.get(swarmId);
    if (sleeper === undefined) return;
    this.#sleepers.delete(swarmId);
    await this.#tellStopped(sleeper, AbortSignal.timeout(this.#environment.limits.stoppedTimeoutMs));
  }

  /** Announces those whose time has come, so many at a time as may be under way. Called a few times a second. */
  tick(): void {
    const { clock, limits } = this.#environment;
    const now = clock.now();
    if (now < Math.max(this.#nextAt, this.#pausedUntil)) return;
    this.#nextAt = Number.POSITIVE_INFINITY;
    for (const sleeper of this.#sleepers.values()) {
      if (sleeper.dueAt <= now && this.#running.size < limits.maxAnnounces) this.#start(sleeper, now);
      this.#nextAt = Math.min(this.#nextAt, sleeper.dueAt);
    }
  }

  /** Takes leave of the tracker, in bounded time. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running);
    const signal = AbortSignal.timeout(this.#environment.limits.stoppedTimeoutMs);
    const sleepers = [...this.#sleepers.values()];
    this.#sleepers.clear();
    await Promise.all(sleepers.map((sleeper) => this.#tellStopped(sleeper, signal)));
  }

  #start(sleeper: Sleeper, now: number): void {
    // Until the answer says better; the scan must not find it again meanwhile.
    sleeper.dueAt = now + FALLBACK_INTERVAL_MS;
    const running = this.#announceOnce(sleeper).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #announceOnce(sleeper: Sleeper): Promise<void> {
    const { announceGate, clock, limits, log } = this.#environment;
    const { swarmId } = sleeper.blob;
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(limits.announceTimeoutMs)]);
    const event = sleeper.isKnown ? undefined : 'started';
    try {
      const answer = await announceGate.run(() => this.#announce(sleeper, event, signal), { signal });
      if (this.#sleepers.get(swarmId) !== sleeper) return;
      if (answer === undefined) sleeper.dueAt = Number.POSITIVE_INFINITY;
      else this.#take(sleeper, answer);
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      this.#pausedUntil = clock.now() + FALLBACK_INTERVAL_MS;
      log[isAppError(error) ? 'warn' : 'error']('announce_failed', { swarmId, error });
    }
  }

  #take(sleeper: Sleeper, answer: AnnounceAnswer): void {
    const { clock, limits, log, random } = this.#environment;
    if (answer.refusal === undefined) {
      // All come at once when a store is opened. From their second time on they are spread over the interval.
      const share = sleeper.isKnown ? 0.9 + random() * 0.2 : random();
      sleeper.dueAt = clock.now() + believedInterval(answer.intervalMs, limits) * share;
      sleeper.isKnown = true;
      this.#nextAt = Math.min(this.#nextAt, sleeper.dueAt);
    } else log.warn('announce_failed', { swarmId: sleeper.blob.swarmId, error: answer.refusal });
    this.#answered(sleeper.blob, answer);
  }

  async #tellStopped(sleeper: Sleeper, signal: AbortSignal): Promise<void> {
    if (!sleeper.isKnown) return;
    await this.#environment.announceGate
      .run(() => this.#announce(sleeper, 'stopped', signal), { signal })
      .catch(() => {
        // The tracker forgets us by itself when we do not announce again.
      });
  }

  async #announce(
    { blob }: Sleeper,
    event: 'started' | 'stopped' | undefined,
    signal: AbortSignal,
  ): Promise<AnnounceAnswer | undefined> {
    const state = { isComplete: blob.isComplete, uploaded: 0, downloaded: 0, numwant: 0 };
    const request = announceOf(blob, state, this.#environment);
    if (request === undefined) return undefined;
    return await this.#environment.announce({ ...request, ...(event === undefined ? {} : { event }) }, { signal });
  }
}
