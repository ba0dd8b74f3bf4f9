import { AppError } from '@sealift/core';

/** A `key = value` of a TOML document (toml.io, v1.0.0). */
export interface TomlEntry {
  /** The names of its tables and its own, outermost first. */
  readonly path: readonly string[];
  /** How many of these names are of the `[table]` that it stands below; the others are of a dotted key. */
  readonly tableDepth: number;
  /** The value as it is written. */
  readonly value: string;
  /** Where its line begins, and where what follows it begins, in characters of the document. */
  readonly start: number;
  readonly end: number;
}

/** A `[table]` or `[[table]]` line of a TOML document. */
export interface TomlHeader {
  readonly path: readonly string[];
  readonly start: number;
  readonly end: number;
}

/** The lines of a TOML document that say something, in their order. */
export interface TomlDocument {
  readonly entries: readonly TomlEntry[];
  readonly headers: readonly TomlHeader[];
}

const BARE_KEY = /[A-Za-z0-9_-]+/y;
const BASIC_STRING = /"(?:[^"\\\n]|\\.)*"/y;
const LITERAL_STRING = /'[^'\n]*'/y;
const LONG_STRINGS = [/"""(?:[^\\]|\\[\s\S])*?"{3,5}/y, /'''[\s\S]*?'{3,5}/y];
const BLANK = /[ \t]*/y;
/** Between the items of an array there may be comments. */
const GAP = /^(?:\s|#[^\n]*(?:\n|$))+/;
const ITEM = /^(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*')/;
const REST_OF_LINE = /[ \t]*(?:#[^\n]*)?(?:\r?\n|$)/y;

/**
 * Finds the tables and keys of a TOML document with their places, so that a line can be put between others without a change
 * to those. It is no validator: the runtime is. Throws `CONFIG_INVALID` with the line at which it lost its way.
 */
export function readToml(text: string): TomlDocument {
  const entries: TomlEntry[] = [];
  const headers: TomlHeader[] = [];
  let table: readonly string[] = [];
  let at = 0;
  const fail = (): never => {
    const line = text.slice(0, at).split('\n').length;
    throw new AppError('CONFIG_INVALID', { reason: `line ${line} cannot be read as TOML` });
  };
  /** Moves behind what `pattern` matches here. */
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const takeKey = (): string[] => {
    const names: string[] = [];
    do {
      take(BLANK);
      const quoted = take(BASIC_STRING) ?? take(LITERAL_STRING);
      names.push(quoted === undefined ? (take(BARE_KEY) ?? fail()) : tomlString(quoted));
      take(BLANK);
    } while (take(/\./y) !== undefined);
    return names;
  };
  const takeValue = (): string => {
    const start = at;
    let depth = 0;
    while (at < text.length) {
      const isString = [...LONG_STRINGS, BASIC_STRING, LITERAL_STRING].some((pattern) => take(pattern) !== undefined);
      if (isString) continue;
      const character = text[at] as string;
      if (character === '"' || character === "'") fail();
      if (depth === 0 && /[\n#]/.test(character)) break;
      if (character === '#') take(/#[^\n]*/y);
      else {
        depth += '[{'.includes(character) ? 1 : ']}'.includes(character) ? -1 : 0;
        at += 1;
      }
    }
    const value = text.slice(start, at).trim();
    return depth === 0 && value !== '' ? value : fail();
  };
  while (at < text.length) {
    if (take(REST_OF_LINE)) continue;
    const start = at;
    take(BLANK);
    const opening = take(/\[\[?/y);
    if (opening === undefined) {
      const path = [...table, ...takeKey()];
      if (take(/=[ \t]*/y) === undefined) fail();
      const value = takeValue();
      if (take(REST_OF_LINE) === undefined) fail();
      entries.push({ path, tableDepth: table.length, value, start, end: at });
    } else {
      table = takeKey();
      if (take(opening === '[' ? /\]/y : /\]\]/y) === undefined || take(REST_OF_LINE) === undefined) fail();
      headers.push({ path: table, start, end: at });
    }
  }
  return { entries, headers };
}

/** The text of a TOML string on one line. Throws `CONFIG_INVALID` for any other value. */
export function tomlString(value: string): string {
  if (/^'[^'\n]*'$/.test(value)) return value.slice(1, -1);
  try {
    // JSON has the escapes of TOML but for \e, \x and \U, which no path and no host needs.
    const text: unknown = /^"/.test(value) ? JSON.parse(value) : undefined;
    if (typeof text === 'string') return text;
  } catch {
    // Said below.
  }
  throw new AppError('CONFIG_INVALID', { reason: 'a value is not a plain TOML string' });
}

/** The texts of a TOML array of strings, or of one string. Throws `CONFIG_INVALID` for any other value. */
export function tomlStrings(value: string): string[] {
  if (!value.startsWith('[')) return [tomlString(value)];
  const items: string[] = [];
  let rest = value.slice(1, -1).replace(GAP, '');
  while (rest !== '') {
    const item = ITEM.exec(rest)?.[0];
    if (item === undefined) throw new AppError('CONFIG_INVALID', { reason: 'a value is not an array of TOML strings' });
    items.push(tomlString(item));
    rest = rest.slice(item.length).replace(GAP, '').replace(/^,/, '').replace(GAP, '');
  }
  return items;
}

/** Writes text as a TOML basic string. */
export function formatTomlString(text: string): string {
  return JSON.stringify(text);
}

/** Writes texts as a TOML array. */
export function formatTomlStrings(texts: readonly string[]): string {
  return `[${texts.map(formatTomlString).join(', ')}]`;
}
