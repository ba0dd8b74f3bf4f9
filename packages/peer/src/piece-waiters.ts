import { AppError, type Clock } from '@sealift/core';

/** Readers that may wait at once; each is a request of the local runtime. */
const MAX_WAITERS = 10_000;

interface Waiter {
  readonly isMet: () => boolean;
  since: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Those who wait for something of one swarm to arrive. Woken by {@link settle}, given up by {@link fail} and {@link expire}. */
export class PieceWaiters {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** Resolves once `isMet`; rejects with the reason of `signal`. */
  wait(isMet: () => boolean, { signal }: { signal: AbortSignal }): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (isMet()) return Promise.resolve();
    if (this.#waiters.size >= MAX_WAITERS) {
      return Promise.reject(new AppError('SWARM_STALLED', { reason: 'too many readers' }));
    }
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        signal.removeEventListener('abort', abort);
        this.#waiters.delete(waiter);
        settle();
      };
      const abort = (): void => waiter.reject(signal.reason);
      const waiter: Waiter = {
        isMet,
        since: this.#clock.now(),
        resolve: () => end(resolve),
        reject: (error) => end(() => reject(error)),
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** Something arrived: wakes those who waited for it. */
  settle(): void {
    for (const waiter of [...this.#waiters]) if (waiter.isMet()) waiter.resolve();
  }

  /** Nobody needs to wait any longer. */
  fail(error: AppError): void {
    for (const waiter of [...this.#waiters]) waiter.reject(error);
  }

  /** Gives up those who have seen no progress, theirs or anybody's, since `before`. Returns how many. */
  expire(before: number, lastProgressAt: number, makeError: () => AppError): number {
    const now = this.#clock.now();
    // A clock that was set back prolongs no wait by as much.
    for (const waiter of this.#waiters) waiter.since = Math.min(waiter.since, now);
    const late = [...this.#waiters].filter(({ since }) => Math.max(since, lastProgressAt) <= before);
    for (const waiter of late) waiter.reject(makeError());
    return late.length;
  }
}
