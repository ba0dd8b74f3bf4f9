import { AppError, addressKey, type Clock, RateLimiter } from '@sealift/core';
import type { TrackerLimits } from './config.ts';

/** Keys held per limit: twice the largest cluster that we plan for. About 150 bytes each. */
const MAX_KEYS = 20_000;

type Act = 'enrol' | 'join' | 'announce' | 'reach' | 'other';

/** Refuses those who ask too often: nodes by their id, strangers by their address. */
export class Throttle {
  readonly #limiters: Readonly<Record<Act, RateLimiter>>;

  constructor({ limits, clock }: { limits: Pick<TrackerLimits, Act>; clock: Clock }) {
    const limiter = (act: Act): RateLimiter => new RateLimiter({ limit: limits[act], maxKeys: MAX_KEYS, clock });
    this.#limiters = {
      enrol: limiter('enrol'),
      join: limiter('join'),
      announce: limiter('announce'),
      reach: limiter('reach'),
      other: limiter('other'),
    };
  }

  /** Counts an act of a node; throws `TOO_MANY_REQUESTS`. */
  node(act: Exclude<Act, 'enrol'>, { id }: { id: string }): void {
    if (!this.#limiters[act].take(id)) throw new AppError('TOO_MANY_REQUESTS');
  }

  /** Counts an attempt to enrol; throws `TOO_MANY_REQUESTS`. */
  stranger(address: string | undefined): void {
    if (!this.#limiters.enrol.take(addressKey(address))) throw new AppError('TOO_MANY_REQUESTS');
  }
}
