import type { Clock } from './clock.ts';
import { isAppError } from './errors.ts';
import type { LogEvent } from './log-events.ts';

/** From least to most urgent. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields of a log line. An `Error` is written as its code and the messages of itself and its causes, never its stack. */
export type LogFields = Readonly<Record<string, unknown>>;

/** One JSON object per line, `event` from a closed list. */
export interface Logger {
  debug(event: LogEvent, fields?: LogFields): void;
  info(event: LogEvent, fields?: LogFields): void;
  warn(event: LogEvent, fields?: LogFields): void;
  error(event: LogEvent, fields?: LogFields): void;
  /** A logger that adds `fields` to each line. */
  child(fields: LogFields): Logger;
}

/** Longest text field in a line, in characters: what a peer sent must not fill a disk. */
const MAX_TEXT_LENGTH = 512;
/** Text looked at, in characters. The rest is dropped unread, so that hostile text cannot make matching slow. */
const MAX_MATCHED_LENGTH = 4 * MAX_TEXT_LENGTH;
/** Causes followed from one error; deeper chains are somebody's loop. */
const MAX_CAUSES = 5;
/** Nesting of fields written; our own lines have two levels. */
const MAX_DEPTH = 4;
/** Entries written of one array or object; no line of ours has as many. */
const MAX_ENTRIES = 50;
const REDACTED = '[redacted]';
const SECRET_KEY = /authorization|cookie|token|secret|password|passphrase|private|credential|signature|grant$/i;
/**
 * What a secret looks like inside text. Each pattern runs over `MAX_MATCHED_LENGTH` characters at most and has no nested
 * quantifier. Order matters: a scheme takes its credential before the pairs take the scheme for a value.
 */
const SECRET_TEXTS = [
  /\b(?:bearer|basic)[\s:]+[\w.~+/=-]+/gi,
  // Anything shaped like a JWT: a base64url JSON object always starts with these letters. One cut short counts too.
  /eyJ[\w-]{8,}(?:\.[\w-]*){0,4}/g,
  /-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]*/g,
  // Query strings, of absolute and relative URLs: signed URLs carry their signature there.
  /\?[^\s"'?=]{1,256}=[^\s"']*/g,
  // User and password of a URL.
  /(?<=:\/\/)[^\s/?#@"']{1,256}@/g,
  // `name=value` and `"name": "value"` where the name speaks of a secret.
  /(?:token|authorization|cookie|secret|password|passphrase|signature)["']?\s{0,4}[=:]\s{0,4}["']?[^\s"',;&)}]+/gi,
];
// JSON leaves these as they are: delete, the C1 controls (one of them starts terminal escapes), line and bidi marks.
const UNSAFE_IN_TERMINAL = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * A logger that writes through `write`. It removes what looks like a secret itself: a caller's mistake must not become a
 * leak. It cuts long text and escapes control characters, so that a peer can neither forge a line nor steer a terminal.
 * Fields named `time`, `level` or `event` do not replace those of the line.
 */
export function createLogger({
  write,
  level,
  clock,
  fields: bound = {},
}: {
  write: (line: string) => void;
  level: LogLevel;
  clock: Clock;
  fields?: LogFields;
}): Logger {
  const lowest = LOG_LEVELS.indexOf(level);
  const log = (lineLevel: LogLevel, event: LogEvent, fields: LogFields = {}): void => {
    if (LOG_LEVELS.indexOf(lineLevel) < lowest) return;
    const line = { time: new Date(clock.now()).toISOString(), level: lineLevel, event };
    const cleaned = clean({ ...bound, ...fields }, 0) as object;
    // `line` comes twice: first for the order of the keys, last so that no field can replace it.
    write(`${escapeControls(JSON.stringify({ ...line, ...cleaned, ...line }))}\n`);
  };
  return {
    debug: (event, fields) => log('debug', event, fields),
    info: (event, fields) => log('info', event, fields),
    warn: (event, fields) => log('warn', event, fields),
    error: (event, fields) => log('error', event, fields),
    child: (fields) => createLogger({ write, level, clock, fields: { ...bound, ...fields } }),
  };
}

/** Takes lines and forgets them; for tests and for parts that must not log. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};

/** `text` without anything that looks like a credential, a token, a key or a query string, and cut to a sane length. */
export function redactText(text: string): string {
  // Cut before matching, so that the patterns run over bounded text only.
  const cut = text.length > MAX_MATCHED_LENGTH ? text.slice(0, MAX_MATCHED_LENGTH) : text;
  const clear = SECRET_TEXTS.reduce((rest, pattern) => rest.replace(pattern, REDACTED), cut);
  return clear.length > MAX_TEXT_LENGTH ? `${clear.slice(0, MAX_TEXT_LENGTH)}…` : clear;
}

function escapeControls(json: string): string {
  return json.replace(UNSAFE_IN_TERMINAL, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  // JSON would call the `toJSON` of a function.
  if (typeof value === 'function') return undefined;
  if (value instanceof Error) return cleanError(value);
  if (value instanceof URL) return redactText(value.href);
  if (value === null || typeof value !== 'object') return value;
  if (depth >= MAX_DEPTH) return '[deep]';
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => clean(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, MAX_ENTRIES)
      .map(([key, item]) => [redactText(key), SECRET_KEY.test(key) ? REDACTED : clean(item, depth + 1)]),
  );
}

function cleanError(error: Error): object {
  const messages: string[] = [];
  let current: unknown = error;
  for (let depth = 0; current instanceof Error && depth < MAX_CAUSES; depth += 1) {
    messages.push(redactText(current.message));
    current = current.cause;
  }
  const code = isAppError(error) ? error.code : (error as NodeJS.ErrnoException).code;
  return { ...(code === undefined ? {} : { code: redactText(String(code)) }), message: messages.join(': ') };
}
