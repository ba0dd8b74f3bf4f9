import { isIP } from 'node:net';
import { AppError, isAppError, parseSwarmId, parseZone, type SwarmId, type Zone } from '@sealift/core';

/** Query parameters read from one announce; an honest one has about a dozen. */
const MAX_PARAMETERS = 32;
/** Peers for a client that does not say how many it wants (BEP 3 leaves it open; 50 is custom). */
const DEFAULT_WANTED = 50;

/** An announce as the query states it. Says nothing about who the asker is: that is the certificate's to say. */
export interface AnnounceQuery {
  readonly swarmId: SwarmId;
  readonly event: 'started' | 'completed' | 'stopped' | undefined;
  /** Bytes that the node still lacks. */
  readonly left: number;
  readonly port: number;
  /** Address the node was told to advertise, instead of the connection's. */
  readonly ip: string | undefined;
  /** Where the node says that it stands; used to choose peers for it, and for nothing else. */
  readonly zone: Zone | undefined;
  readonly wanted: number;
  /** Version of the deny list that the node has; 0 if none. */
  readonly denyVersion: number;
  /** Peers as bytes (BEP 23), which stock clients ask for. Our own nodes need the peer ids and do not. */
  readonly isCompact: boolean;
}

/** Reads the query of an announce (BEP 3); throws `INVALID_REQUEST`. Parameters that we do not use are ignored. */
export function parseAnnounceQuery(query: string): AnnounceQuery {
  const fields = parseQuery(query);
  const event = single(fields, 'event');
  if (event !== undefined && !isEvent(event)) throw invalid('event');
  const ip = single(fields, 'ip');
  if (ip !== undefined && isIP(ip) === 0) throw invalid('ip');
  return {
    swarmId: swarmIdOfBytes(single(fields, 'info_hash')),
    event: event === '' || event === 'empty' ? undefined : event,
    left: integer(fields, 'left', { min: 0, max: Number.MAX_SAFE_INTEGER }) ?? fail('left'),
    port: integer(fields, 'port', { min: 1, max: 65_535 }) ?? fail('port'),
    ip,
    zone: zoneOf(single(fields, 'zone')),
    wanted: integer(fields, 'numwant', { min: 0, max: Number.MAX_SAFE_INTEGER }) ?? DEFAULT_WANTED,
    denyVersion: integer(fields, 'deny_version', { min: 0, max: Number.MAX_SAFE_INTEGER }) ?? 0,
    isCompact: single(fields, 'compact') === '1',
  };
}

/** Reads the query of a scrape: exactly one swarm, so that nobody can list them all. Throws `INVALID_REQUEST`. */
export function parseScrapeQuery(query: string): SwarmId {
  return swarmIdOfBytes(single(parseQuery(query), 'info_hash'));
}

/** Parameters by name, their values still escaped: half of what an announce says is of no interest. */
type Fields = ReadonlyMap<string, string | typeof AMBIGUOUS>;

/** The value of a parameter that is there more than once. */
const AMBIGUOUS = Symbol('ambiguous');

function parseQuery(query: string): Fields {
  const fields = new Map<string, string | typeof AMBIGUOUS>();
  for (const parameter of query.split('&', MAX_PARAMETERS)) {
    const split = parameter.indexOf('=');
    const name = percentDecode(split === -1 ? parameter : parameter.slice(0, split));
    const value = split === -1 ? '' : parameter.slice(split + 1);
    fields.set(name, fields.has(name) ? AMBIGUOUS : value);
  }
  return fields;
}

/**
 * The bytes of a name or a value, one character each (BEP 3), a plus for a space as in forms. Leaves what is no escape as it
 * stands. By character codes, because every announce has 20 escapes that count.
 */
function percentDecode(text: string): string {
  let decoded = '';
  let start = 0;
  const escaped = text.includes('+') ? text.replaceAll('+', ' ') : text;
  for (let at = escaped.indexOf('%'); at !== -1; at = escaped.indexOf('%', at + 1)) {
    const code = hexDigit(escaped.charCodeAt(at + 1)) * 16 + hexDigit(escaped.charCodeAt(at + 2));
    if (Number.isNaN(code)) continue;
    decoded += escaped.slice(start, at) + String.fromCharCode(code);
    start = at + 3;
    at += 2;
  }
  return start === 0 ? escaped : decoded + escaped.slice(start);
}

/** The value of a hexadecimal digit; `NaN` for any other character, and past the end. */
function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : Number.NaN;
}

function single(fields: Fields, name: string): string | undefined {
  const value = fields.get(name);
  // Two values for one parameter: two readers could choose differently.
  if (value === AMBIGUOUS) throw invalid(name);
  return value === undefined ? undefined : percentDecode(value);
}

function integer(fields: Fields, name: string, { min, max }: { min: number; max: number }): number | undefined {
  const text = single(fields, name);
  if (text === undefined || text === '') return undefined;
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw invalid(name);
  return value;
}

function swarmIdOfBytes(bytes: string | undefined): SwarmId {
  if (bytes?.length !== 20) throw invalid('info_hash');
  return parseSwarmId(Buffer.from(bytes, 'latin1').toString('hex'));
}

function zoneOf(text: string | undefined): Zone | undefined {
  try {
    return text === undefined ? undefined : parseZone(text);
  } catch (error) {
    if (isAppError(error)) throw invalid('zone');
    throw error;
  }
}

function isEvent(event: string): event is 'started' | 'completed' | 'stopped' | '' | 'empty' {
  return ['started', 'completed', 'stopped', 'empty', ''].includes(event);
}

function fail(parameter: string): never {
  throw invalid(parameter);
}

function invalid(parameter: string): AppError {
  return new AppError('INVALID_REQUEST', { reason: 'a query parameter is missing or malformed', parameter });
}
