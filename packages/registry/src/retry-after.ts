import { isAppError } from '@sealift/core';

/** Longest wait that we read out of a header, in ms: a day. Whoever waits has a much smaller bound of their own. */
const MAX_RETRY_AFTER_MS = 24 * 3_600_000;
const SECONDS = /^[0-9]{1,9}$/;
/** The day of the week, with which each form of a date begins; the parser would read much else as one. */
const DATE = /^[A-Z][a-z]{2,8},? /;

/**
 * How long a server asks to wait, in ms (RFC 9110 §10.2.3): seconds, or a date, which is held against the server's own
 * `Date`. `undefined` if it is absent, repeated or makes no sense.
 */
export function parseRetryAfter(
  header: string | string[] | undefined,
  { date, now }: { date: string | string[] | undefined; now: number },
): number | undefined {
  if (typeof header !== 'string') return undefined;
  if (SECONDS.test(header)) return Math.min(Number(header) * 1_000, MAX_RETRY_AFTER_MS);
  const until = DATE.test(header) ? Date.parse(header) : Number.NaN;
  const theirNow = typeof date === 'string' ? Date.parse(date) : Number.NaN;
  const waitMs = until - (Number.isNaN(theirNow) ? now : theirNow);
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(0, waitMs), MAX_RETRY_AFTER_MS);
}

/** How long the registry asked to wait when it failed with `error`, in ms; `undefined` if it did not say. */
export function retryAfterOf(error: unknown): number | undefined {
  const waitMs = isAppError(error, 'REGISTRY_UNAVAILABLE') ? error.details['retryAfterMs'] : undefined;
  return typeof waitMs === 'number' ? waitMs : undefined;
}
