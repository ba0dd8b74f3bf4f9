import { AppError } from '@sealift/core';

/** A number of hosts, or a part of all of them in percent. */
export type Share = { readonly count: number } | { readonly percent: number };

/** Parses `10` or `25%`. */
export function parseShare(text: string): Share {
  const match = /^(?<number>[0-9]{1,6})(?<unit>%?)$/.exec(text);
  const number = Number(match?.groups?.['number'] ?? Number.NaN);
  const isPercent = match?.groups?.['unit'] === '%';
  if (Number.isNaN(number) || (isPercent && number > 100)) {
    throw new AppError('CONFIG_INVALID', {
      reason: 'write a number of hosts or a part of them, for example 10 or 25%',
    });
  }
  return isPercent ? { percent: number } : { count: number };
}

/** Parses a {@link Share} that is not nothing. */
export function parsePositiveShare(text: string): Share {
  const share = parseShare(text);
  if (('count' in share ? share.count : share.percent) > 0) return share;
  throw new AppError('CONFIG_INVALID', { reason: 'write at least 1 or 1%' });
}

/** How many of `total` a share is; a part of a host counts as none. */
export function hostsOf(share: Share, total: number): number {
  return 'count' in share ? share.count : Math.floor((share.percent * total) / 100);
}
