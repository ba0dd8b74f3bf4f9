/** Header names and values by turns, as they came: order, case and repetitions kept (Node's `rawHeaders`). */
export type RawHeaders = readonly string[];

// RFC 9110 §7.6.1, and what older clients send in its place. Names with `proxy-` are dropped by their prefix.
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'te', 'transfer-encoding', 'upgrade']);
// What frames or directs a message. A sender may name these in Connection only to make two readers disagree.
const NEVER_NAMED = new Set(['host', 'content-length', 'authorization', 'range', 'content-range', 'www-authenticate']);

/** Name and value of each header, in order. */
export function* headerPairs(raw: RawHeaders): Generator<[name: string, value: string]> {
  for (let index = 0; index + 1 < raw.length; index += 2) yield [raw[index] as string, raw[index + 1] as string];
}

/** All values of a header, in order; `name` in lower case. */
export function headerValues(raw: RawHeaders, name: string): string[] {
  return [...headerPairs(raw)].filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
}

/** The headers that are meant for the other end, without those in `except` (lower case). */
export function endToEndHeaders(raw: RawHeaders, { except = [] }: { except?: readonly string[] } = {}): string[] {
  const dropped = new Set([...namedInConnection(raw), ...HOP_BY_HOP, ...except]);
  const kept: string[] = [];
  for (const [name, value] of headerPairs(raw)) {
    const key = name.toLowerCase();
    if (!dropped.has(key) && !key.startsWith('proxy-')) kept.push(name, value);
  }
  return kept;
}

function namedInConnection(raw: RawHeaders): string[] {
  return headerValues(raw, 'connection')
    .flatMap((value) => value.split(','))
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '' && !NEVER_NAMED.has(name));
}
