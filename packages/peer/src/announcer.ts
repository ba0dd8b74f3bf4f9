import type { AnnounceAnswer, AnnounceRequest } from '@sealift/bittorrent';
import { type Clock, isAppError, type Logger } from '@sealift/core';
import type { Gate } from './gate.ts';
import type { PeerLimits } from './limits.ts';

/** Announces one request; what the engine is given. */
export type Announce = (request: AnnounceRequest, options: { signal: AbortSignal }) => Promise<AnnounceAnswer>;

/** Interval until the tracker has named one, and after failures, in ms. */
export const FALLBACK_INTERVAL_MS = 30_000;
/** Longest interval that is believed, in ms: whatever a tracker says, it hears from us this often. */
const MAX_INTERVAL_MS = 3_600_000;

/** The interval that a tracker has named, within what is believed, in ms. */
export function believedInterval(intervalMs: number, { minAnnounceMs }: Pick<PeerLimits, 'minAnnounceMs'>): number {
  return Math.min(Math.max(intervalMs, minAnnounceMs), MAX_INTERVAL_MS);
}

/** What the announcer asks its swarm. */
export interface AnnounceSubject {
  /** The next request without its event; `undefined` while there is no grant to announce with. */
  describe(): Omit<AnnounceRequest, 'event'> | undefined;
  /** A leecher that has too few peers to make progress. */
  isHungryNow(): boolean;
  answered(answer: AnnounceAnswer): void;
}

/**
 * Keeps one swarm known to the tracker: `started` at once, then at the interval, sooner while it is short of peers,
 * `completed` when told, `stopped` at the end. One announce at a time.
 */
export class Announcer {
  readonly #announce: Announce;
  readonly #subject: AnnounceSubject;
  readonly #gate: Gate;
  readonly #limits: PeerLimits;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = 0;
  #intervalMs = FALLBACK_INTERVAL_MS;
  #hungryRounds = 0;
  #hasStarted = false;
  #isCompletedDue = false;
  #lastFailed = false;

  constructor(options: {
    announce: Announce;
    subject: AnnounceSubject;
    gate: Gate;
    limits: PeerLimits;
    clock: Clock;
    random: () => number;
    log: Logger;
  }) {
    this.#announce = options.announce;
    this.#subject = options.subject;
    this.#gate = options.gate;
    this.#limits = options.limits;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#log = options.log;
  }

  /** The tracker did not answer the last time it was asked. */
  get hasFailed(): boolean {
    return this.#lastFailed;
  }

  /** When the next announce is due, in ms. `undefined` while the tracker has not heard of us. */
  get dueAt(): number | undefined {
    return this.#hasStarted ? this.#dueAt : undefined;
  }

  start(): void {
    this.#schedule(0);
  }

  /** Announces `completed` as soon as it can. */
  completed(): void {
    this.#isCompletedDue = true;
    this.#schedule(0);
  }

  /** Peers were lost, or a grant came: announces before the interval is over. */
  hurry(): void {
    const delay = this.#hungryDelay();
    if (this.#clock.now() + delay < this.#dueAt) this.#schedule(delay);
  }

  /** Announces soon, or at once, whatever the interval: who asks wants to know whether the tracker is there, and who else. */
  ask({ isAtOnce = false } = {}): void {
    // A whole swarm falls silent at the same moment.
    const delay = isAtOnce ? 0 : this.#random() * this.#limits.minAnnounceMs;
    if (this.#clock.now() + delay < this.#dueAt) this.#schedule(delay);
  }

  /** Announces `stopped`, waiting a bounded time, unless `isQuiet`: somebody else goes on. Safe to call twice. */
  async stop({ isQuiet = false } = {}): Promise<void> {
    const isFirst = !this.#stop.signal.aborted;
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#running;
    const request = this.#subject.describe();
    if (!isFirst || isQuiet || !this.#hasStarted || request === undefined) return;
    const signal = AbortSignal.timeout(this.#limits.stoppedTimeoutMs);
    const tell = () => this.#announce({ ...request, event: 'stopped' }, { signal });
    await this.#gate.run(tell, { signal }).catch(() => {
      // The tracker forgets us by itself when we do not announce again.
    });
  }

  #schedule(delayMs: number): void {
    if (this.#stop.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#dueAt = this.#clock.now() + delayMs;
    this.#timer = setTimeout(() => {
      if (this.#running !== undefined) return;
      this.#running = this.#run().finally(() => {
        this.#running = undefined;
        this.#schedule(this.#nextDelay());
      });
    }, delayMs);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    try {
      await this.#gate.run(() => this.#announceOnce(signal), { signal });
    } catch {
      // Stopped while it waited for its turn; announceOnce itself never throws.
    }
  }

  async #announceOnce(stop: AbortSignal): Promise<void> {
    const request = this.#subject.describe();
    if (request === undefined) {
      // Without a grant there is nobody to ask: as good as a tracker that does not answer.
      this.#lastFailed = true;
      return;
    }
    const event = this.#hasStarted ? (this.#isCompletedDue ? 'completed' : undefined) : 'started';
    const signal = AbortSignal.any([stop, AbortSignal.timeout(this.#limits.announceTimeoutMs)]);
    try {
      const answer = await this.#announce({ ...request, ...(event === undefined ? {} : { event }) }, { signal });
      if (answer.refusal !== undefined) {
        if (!stop.aborted) this.#subject.answered(answer);
        throw answer.refusal;
      }
      this.#hasStarted = true;
      if (event === 'completed') this.#isCompletedDue = false;
      this.#lastFailed = false;
      this.#intervalMs = believedInterval(answer.intervalMs, this.#limits);
      if (!stop.aborted) this.#subject.answered(answer);
    } catch (error) {
      if (stop.aborted) return;
      this.#lastFailed = true;
      const level = isAppError(error) ? 'warn' : 'error';
      this.#log[level]('announce_failed', { swarmId: request.swarmId, error });
    }
  }

  #nextDelay(): number {
    if (this.#hasStarted && this.#isCompletedDue) return this.#lastFailed ? this.#limits.minAnnounceMs : 0;
    const jitter = 0.9 + this.#random() * 0.2;
    if (!this.#subject.isHungryNow()) {
      this.#hungryRounds = 0;
      return this.#intervalMs * jitter;
    }
    const delay = this.#hungryDelay();
    this.#hungryRounds += 1;
    return delay;
  }

  /** Doubles from the shortest wait up to the interval, with jitter: a swarm that is short of peers asks as a crowd. */
  #hungryDelay(): number {
    const wait = this.#limits.minAnnounceMs * 2 ** Math.min(this.#hungryRounds, 10);
    return Math.min(wait, this.#intervalMs) * (1 + this.#random() * 0.25);
  }
}
