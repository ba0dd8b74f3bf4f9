/**
 * Changes of one array of strings in a JSON document whose other characters stay as they are: the order, the spacing and the
 * numbers of whoever wrote it. The document must have passed `JSON.parse`, and its top must be an object.
 */

/** Puts `item` first into the array of the top-level member `name`, which is added where there is none. */
export function addFirst(text: string, name: string, item: string): string {
  const array = findMember(text, name);
  const quoted = JSON.stringify(item);
  if (array !== undefined) {
    const inside = array.start + 1;
    const gap = /^\s*/.exec(text.slice(inside))?.[0] ?? '';
    const isEmpty = text[inside + gap.length] === ']';
    return splice(text, inside, inside, isEmpty ? quoted : `${gap}${quoted},${gap === '' ? ' ' : ''}`);
  }
  const inside = text.indexOf('{') + 1;
  const gap = /^\s*/.exec(text.slice(inside))?.[0] ?? '';
  const member = `${JSON.stringify(name)}: [${quoted}]`;
  if (text[inside + gap.length] === '}') return splice(text, inside, inside + gap.length, `\n  ${member}\n`);
  return splice(text, inside, inside, `${gap}${member},${gap === '' ? ' ' : ''}`);
}

/** Takes `item` out of the array of the top-level member `name`, and the member itself if `dropsEmpty` and nothing is left in it. */
export function removeItem(text: string, name: string, item: string, { dropsEmpty }: { dropsEmpty: boolean }): string {
  const member = findMember(text, name);
  if (member === undefined) return text;
  const items = elementsOf(text, member.start);
  const index = items.findIndex(({ start, end }) => JSON.parse(text.slice(start, end)) === item);
  if (index === -1) return text;
  if (items.length === 1 && dropsEmpty) return cut(text, membersOf(text), member.index);
  return cut(text, items, index);
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Takes one of a list of elements out, with one comma and the space on its side of it. */
function cut(text: string, spans: readonly Span[], index: number): string {
  const [before, span, after] = [spans[index - 1], spans[index], spans[index + 1]];
  if (span === undefined) return text;
  if (after !== undefined) return splice(text, span.start, after.start, '');
  return splice(text, before?.end ?? span.start, span.end, '');
}

/** The value of a top-level member; of several by one name the last, as JSON readers take it. */
function findMember(text: string, name: string): (Span & { readonly index: number }) | undefined {
  const members = membersOf(text);
  const index = members.findLastIndex(({ start }) => JSON.parse(text.slice(start, endOfValue(text, start))) === name);
  const member = members[index];
  if (member === undefined) return undefined;
  const start = skipSpace(text, skipSpace(text, endOfValue(text, member.start)) + 1);
  return { start, end: member.end, index };
}

/** The members of the top-level object, each from its name to the end of its value. */
function membersOf(text: string): Span[] {
  return elementsOf(text, text.indexOf('{'));
}

/** The elements of the array, or the members of the object, that opens at `opening`. */
function elementsOf(text: string, opening: number): Span[] {
  const spans: Span[] = [];
  let at = skipSpace(text, opening + 1);
  while (at < text.length && !']}'.includes(text[at] as string)) {
    const start = at;
    at = endOfValue(text, at);
    if (text[skipSpace(text, at)] === ':') at = endOfValue(text, skipSpace(text, skipSpace(text, at) + 1));
    spans.push({ start, end: at });
    at = skipSpace(text, at);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return spans;
}

/** Behind the value that begins at `start`. */
function endOfValue(text: string, start: number): number {
  const token = /"(?:[^"\\]|\\.)*"|[[\]{}]|[^\s,:"[\]{}]+/g;
  token.lastIndex = start;
  let depth = 0;
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    depth += '[{'.includes(found[0]) ? 1 : ']}'.includes(found[0]) ? -1 : 0;
    if (depth === 0) return token.lastIndex;
  }
  return text.length;
}

function skipSpace(text: string, at: number): number {
  const space = /\s*/y;
  space.lastIndex = at;
  space.exec(text);
  return space.lastIndex;
}

function splice(text: string, start: number, end: number, replacement: string): string {
  return `${text.slice(0, start)}${replacement}${text.slice(end)}`;
}
