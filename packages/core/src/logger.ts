import type { Clock } from './clock.ts';
import { isAppError } from './errors.ts';
import type { LogEvent } from './log-events.ts';

/** From least to most urgent. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields of a log line. An `Error` is written as code, message and causes, without its stack below `debug`. */
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
/** Causes followed from one error; deeper chains are somebody's loop. */
const MAX_CAUSES = 5;
const REDACTED = '[redacted]';
const SECRET_KEY = /authorization|cookie|token|secret|password|passphrase|private|credential|grant$/i;
/** What a secret looks like inside text. Each pattern runs over bounded text and has no nested quantifier. */
const SECRET_TEXTS = [
  /\b(?:bearer|basic)\s+[\w.~+/=-]+/gi,
  // Anything shaped like a JWT: a base64url JSON object always starts with these letters.
  /\beyJ[\w-]{8,}\.[\w-]+\.?[\w-]*/g,
  /-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[\s\S]*/g,
  // Query strings: signed URLs carry their signature there.
  /(?<=:\/\/[^\s?#]{1,512})\?[^\s"']+/g,
];

/**
 * A logger that writes through `write`. It removes what looks like a secret itself: a caller's mistake must not become a
 * leak. It cuts long text, and `JSON.stringify` escapes control characters, so that a peer cannot forge a line.
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
    write(`${JSON.stringify({ ...line, ...(clean({ ...bound, ...fields }, 0) as object) })}\n`);
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
  const cut = text.length > 4 * MAX_TEXT_LENGTH ? text.slice(0, 4 * MAX_TEXT_LENGTH) : text;
  const clear = SECRET_TEXTS.reduce((rest, pattern) => rest.replace(pattern, REDACTED), cut);
  return clear.length > MAX_TEXT_LENGTH ? `${clear.slice(0, MAX_TEXT_LENGTH)}…` : clear;
}

function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Error) return cleanError(value);
  if (value === null || typeof value !== 'object') return value;
  if (depth >= 4) return '[deep]';
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, 50).map((item) => clean(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, SECRET_KEY.test(key) ? REDACTED : clean(item, depth + 1)]),
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
  return { ...(code === undefined ? {} : { code }), message: messages.join(': ') };
}
