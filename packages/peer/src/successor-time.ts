/** Head start of a successor before a connection must end, in ms: a dial, the handshakes, and some tries. */
const MAX_LEAD_MS = 30_000;
/** The same for certificates that live shorter than an hour, as a share of what the connection has to live. */
const LEAD_SHARE = 0.25;
/** Time over which connections of a replaced certificate get their successors, in ms: not all at once. */
const SPREAD_MS = 10_000;

/** What a connection is judged by, in ms. */
export interface ConnectionLife {
  readonly openedAt: number;
  /** When it must end: a certificate or grant of either side does. */
  readonly endsAt: number;
}

/**
 * When to dial the connection that takes this one's place, so that nothing pauses when it ends. A connection that stands on
 * a certificate which we have replaced (`isStale`) can show no newer grant, so it is due soon; `random` spreads those.
 * A connection that lives short is due in the second half of its life, so that peers which do not renew are not dialled
 * without end.
 */
export function successorTime(
  { openedAt, endsAt }: ConnectionLife,
  { now, isStale, random }: { now: number; isStale: boolean; random: () => number },
): number {
  const lifeMs = endsAt - openedAt;
  const inTime = endsAt - Math.min(MAX_LEAD_MS, lifeMs * LEAD_SHARE);
  if (!isStale) return inTime;
  return Math.min(inTime, now + random() * Math.min(SPREAD_MS, Math.max(0, endsAt - now) / 2));
}
