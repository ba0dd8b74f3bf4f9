/** What the tracker has done since it started; a closed list. */
const COUNTERS = [
  'enrolments',
  'renewals',
  'joinsGranted',
  /** Those of them for which no registry was asked, because a verified token and an earlier answer were enough. */
  'joinsGrantedByToken',
  'joinsDenied',
  'joinsUnavailable',
  'offersSwarm',
  'offersInline',
  'offersNone',
  'manifestsServed',
  'manifestsDenied',
  'manifestsUnavailable',
  'grantsRefreshed',
  'announces',
  'announcesRefused',
  'reports',
] as const;

/** A name of the list above. */
export type Counter = (typeof COUNTERS)[number];

/** The counter of an offer of that kind. */
export function offerCounter(kind: 'swarm' | 'inline' | 'none'): Counter {
  return ({ swarm: 'offersSwarm', inline: 'offersInline', none: 'offersNone' } as const)[kind];
}

/** Counts what the tracker does, for the status page. */
export class Counters {
  readonly #counts = new Map<Counter, number>(COUNTERS.map((counter) => [counter, 0]));

  add(counter: Counter, amount = 1): void {
    this.#counts.set(counter, (this.#counts.get(counter) ?? 0) + amount);
  }

  snapshot(): Record<Counter, number> {
    return Object.fromEntries(this.#counts) as Record<Counter, number>;
  }
}
