/** What a Range header asks of a blob: all of it, one part `[start, end)`, or a part that it does not have. */
export type ByteRange =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

// One range only (RFC 9110 §14.1.2). Fifteen digits are beyond any blob and within a safe integer.
const SINGLE_RANGE = /^bytes=(?<first>\d{0,15})-(?<last>\d{0,15})$/i;

/**
 * What `range` asks of a blob of `size` bytes. A header that we do not understand, or that asks for several ranges, is
 * ignored, as RFC 9110 §14.2 allows. With `ifRange`, a part is given only if that names `etag` exactly (§13.1.5): the
 * client holds bytes of some representation, and a date proves nothing about which.
 */
export function parseByteRange(
  range: string | undefined,
  { size, etag, ifRange }: { size: number; etag: string; ifRange: string | undefined },
): ByteRange {
  if (range === undefined || (ifRange !== undefined && ifRange !== etag)) return { kind: 'whole' };
  const groups = SINGLE_RANGE.exec(range.trim())?.groups;
  if (groups === undefined) return { kind: 'whole' };
  const first = groups['first'] === '' ? undefined : Number(groups['first']);
  const last = groups['last'] === '' ? undefined : Number(groups['last']);
  if (first === undefined) return last === undefined ? { kind: 'whole' } : suffix(last, size);
  if (last !== undefined && last < first) return { kind: 'whole' };
  if (first >= size) return { kind: 'unsatisfiable' };
  return { kind: 'part', start: first, end: Math.min(last ?? size - 1, size - 1) + 1 };
}

function suffix(length: number, size: number): ByteRange {
  if (length === 0 || size === 0) return { kind: 'unsatisfiable' };
  return { kind: 'part', start: Math.max(0, size - length), end: size };
}
