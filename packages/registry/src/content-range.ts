const CONTENT_RANGE = /^bytes (?<first>[0-9]{1,15})-(?<last>[0-9]{1,15})\/(?<size>[0-9]{1,15}|\*)$/i;
const LENGTH = /^[0-9]{1,15}$/;

/** The number in a `Content-Length` header; `undefined` if it is absent, repeated or no plain number. */
export function parseContentLength(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && LENGTH.test(header) ? Number(header) : undefined;
}

/**
 * Reads the `Content-Range` of a 206 (RFC 9110 §14.4). Bytes `first` to `last`, both included; `size` of the whole, if
 * the server says so. `undefined` if it is absent or does not make sense.
 */
export function parseContentRange(
  header: string | string[] | undefined,
): { first: number; last: number; size: number | undefined } | undefined {
  const groups = typeof header === 'string' ? CONTENT_RANGE.exec(header)?.groups : undefined;
  if (groups === undefined) return undefined;
  const first = Number(groups['first']);
  const last = Number(groups['last']);
  const size = groups['size'] === '*' ? undefined : Number(groups['size']);
  return first <= last && (size === undefined || last < size) ? { first, last, size } : undefined;
}
