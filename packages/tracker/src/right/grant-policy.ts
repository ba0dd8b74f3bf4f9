import type { GrantClaims, GrantUse } from '@sealift/tracker-api';

/** Longest life of a grant, in ms. How long a peer goes on being served after its right is taken away, at most. */
export const GRANT_TTL_MS = 15 * 60_000;

/** How long after the registry's last proof a node may go on downloading, in ms. Uploading has no such end. */
export const TRADE_MS = 60 * 60_000;

/** Shortest `trade` grant worth giving on a refresh, in ms: nodes renew grants this long before their end. */
const MIN_TRADE_MS = 5 * 60_000;

/** How long after its end a grant may still be exchanged for a new one, in ms: bridges a restart of the tracker. */
export const REFRESH_GRACE_MS = 5 * 60_000;

/** What a new grant says and when it ends, in ms. */
export interface GrantTerms {
  readonly use: GrantUse;
  readonly expiresAt: number;
}

/** Terms of a grant for a right that was proven at `authTime`. It never outlives the certificate that it is bound to. */
export function termsOfJoin({
  now,
  authTime,
  notAfter,
}: {
  now: number;
  authTime: number;
  notAfter: number;
}): GrantTerms {
  return { use: 'trade', expiresAt: Math.min(now + GRANT_TTL_MS, authTime + TRADE_MS, notAfter) };
}

/** Terms of a grant in place of `old`. `seed` never becomes `trade` again: only a new join proves the right anew. */
export function termsOfRefresh(
  old: Pick<GrantClaims, 'use' | 'authTime'>,
  { now, notAfter }: { now: number; notAfter: number },
): GrantTerms {
  const tradeEnd = old.authTime + TRADE_MS;
  if (old.use === 'trade' && tradeEnd - now >= MIN_TRADE_MS) {
    return { use: 'trade', expiresAt: Math.min(now + GRANT_TTL_MS, tradeEnd, notAfter) };
  }
  return { use: 'seed', expiresAt: Math.min(now + GRANT_TTL_MS, notAfter) };
}
