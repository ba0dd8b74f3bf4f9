import { AppError, BLOCK_LENGTH, MAX_PIECE_LENGTH, parseZone, type Zone } from '@sealift/core';
import { type BencodeInput, type BencodeValue, decodeBencode, encodeBencode } from './bencode.ts';

/** Our own ids of extended messages (BEP 10). What we send to a peer carries the ids of *its* extended handshake. */
export const EXTENSION = { handshake: 0, hashes: 1, progress: 2, fetching: 3 } as const;

/** Names of our extended messages, as they stand in `m` (BEP 10). */
export const EXTENSION_NAME = { hashes: 'sl_hashes', progress: 'sl_progress', fetching: 'sl_fetching' } as const;

/** The `messages` of every extended handshake that Sealift sends. */
export const OWN_EXTENSION_MESSAGES: ReadonlyMap<string, number> = new Map([
  [EXTENSION_NAME.hashes, EXTENSION.hashes],
  [EXTENSION_NAME.progress, EXTENSION.progress],
  [EXTENSION_NAME.fetching, EXTENSION.fetching],
]);

/** Longest extended handshake, in bytes: the longest grant and token, and room for what other clients announce. */
export const MAX_EXTENDED_HANDSHAKE_LENGTH = 16_384;
/** Longest grant, in characters. An honest one has about 900. */
export const MAX_GRANT_LENGTH = 4096;
/** Longest registry token, in characters. With a chain of certificates they have about 6,000. */
export const MAX_REGISTRY_TOKEN_LENGTH = 8192;
/** Longest client version, in bytes. */
const MAX_VERSION_LENGTH = 128;
/** Longest zone, in bytes: a DNS label. */
const MAX_ZONE_LENGTH = 63;
/** Most requests that a peer may say it queues; beyond any window we would fill. */
const MAX_REQUEST_QUEUE = 65_535;
/** Longest block that a peer may say it serves, in bytes: a piece. More than we ever ask for. */
const MAX_SERVED_BLOCK_LENGTH = MAX_PIECE_LENGTH;
/** Most extended messages that a peer may name; clients in use name about a dozen. */
const MAX_MESSAGES = 64;

// A compact JWT (RFC 7515 §7.1). One class between fixed dots, so matching takes linear time.
const COMPACT_JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** The extended handshake (BEP 10) with our grant. */
export interface ExtendedHandshake {
  /** Extended messages that the sender understands, and the ids it wants them under (1 to 255). */
  readonly messages: ReadonlyMap<string, number>;
  /** Client and version, as the sender calls itself. */
  readonly version?: string;
  /** Requests that the sender queues for us; one for a longer block counts once for each 16 KiB of it. */
  readonly requestQueue?: number;
  /** Longest block that the sender serves in one message, in bytes; 16 KiB if it does not say. */
  readonly blockLength?: number;
  /** A compact JWT, not verified here. */
  readonly grant?: string;
  /** The registry's own token, a compact JWT, not verified here; only for a peer that demands one. */
  readonly token?: string;
  /** The sender serves blocks only to who shows it a registry token. */
  readonly demandsToken?: boolean;
  /** The sender's zone, by its own account. */
  readonly zone?: Zone;
}

/** Encodes an extended handshake, without the extended message around it; throws `HANDSHAKE_INVALID` above a limit. */
export function encodeExtendedHandshake(handshake: ExtendedHandshake): Buffer {
  const entries = new Map<string, BencodeInput>([['m', handshake.messages]]);
  if (handshake.version !== undefined) entries.set('v', handshake.version);
  if (handshake.requestQueue !== undefined) entries.set('reqq', handshake.requestQueue);
  if (handshake.blockLength !== undefined) entries.set('sl_block', handshake.blockLength);
  if (handshake.grant !== undefined) entries.set('sl_grant', handshake.grant);
  if (handshake.token !== undefined) entries.set('sl_token', handshake.token);
  if (handshake.demandsToken === true) entries.set('sl_token_check', 1);
  if (handshake.zone !== undefined) entries.set('sl_zone', handshake.zone);
  const bytes = encodeBencode(entries);
  // What we would refuse from others we do not send.
  decodeExtendedHandshake(bytes);
  return bytes;
}

/**
 * Decodes the payload of an extended handshake. Throws `HANDSHAKE_INVALID` for what breaks bencode, a limit or the type
 * of a key that we know; unknown keys are ignored (BEP 10).
 */
export function decodeExtendedHandshake(bytes: Uint8Array): ExtendedHandshake {
  const entries = decodeDictionary(bytes);
  const version = readText(entries.get('v'), MAX_VERSION_LENGTH, 'v');
  const requestQueue = readRequestQueue(entries.get('reqq'));
  const blockLength = readBlockLength(entries.get('sl_block'));
  const grant = readJwt(entries.get('sl_grant'), MAX_GRANT_LENGTH, 'sl_grant');
  const token = readJwt(entries.get('sl_token'), MAX_REGISTRY_TOKEN_LENGTH, 'sl_token');
  const demandsToken = readFlag(entries.get('sl_token_check'));
  const zone = readZone(entries.get('sl_zone'));
  return {
    messages: readMessages(entries.get('m')),
    ...(version === undefined ? {} : { version }),
    ...(requestQueue === undefined ? {} : { requestQueue }),
    ...(blockLength === undefined ? {} : { blockLength }),
    ...(grant === undefined ? {} : { grant }),
    ...(token === undefined ? {} : { token }),
    ...(demandsToken ? { demandsToken } : {}),
    ...(zone === undefined ? {} : { zone }),
  };
}

function decodeDictionary(bytes: Uint8Array): ReadonlyMap<string, BencodeValue> {
  let value: BencodeValue;
  try {
    value = decodeBencode(bytes, { maxBytes: MAX_EXTENDED_HANDSHAKE_LENGTH });
  } catch (cause) {
    throw invalid('extended handshake is not bencode', cause);
  }
  if (!(value instanceof Map)) throw invalid('extended handshake is not a dictionary');
  return value;
}

function readMessages(value: BencodeValue | undefined): ReadonlyMap<string, number> {
  if (value === undefined) return new Map();
  if (!(value instanceof Map) || value.size > MAX_MESSAGES) throw invalid('m is not a short dictionary');
  const messages = new Map<string, number>();
  const ids = new Set<number>();
  for (const [name, id] of value as ReadonlyMap<string, BencodeValue>) {
    if (typeof id !== 'number' || id < 0 || id > 255) throw invalid('id of an extended message out of range');
    // BEP 10: id 0 takes an extension back.
    if (id === 0) continue;
    if (ids.has(id)) throw invalid('two extended messages under one id');
    ids.add(id);
    messages.set(name, id);
  }
  return messages;
}

function readRequestQueue(value: BencodeValue | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || value < 1 || value > MAX_REQUEST_QUEUE) throw invalid('reqq out of range');
  return value;
}

function readBlockLength(value: BencodeValue | undefined): number | undefined {
  if (value === undefined) return undefined;
  const isBlock = typeof value === 'number' && value >= BLOCK_LENGTH && value <= MAX_SERVED_BLOCK_LENGTH;
  if (!isBlock || value % BLOCK_LENGTH !== 0) throw invalid('sl_block is not a length of whole blocks');
  return value;
}

function readJwt(value: BencodeValue | undefined, maxLength: number, key: string): string | undefined {
  const text = readText(value, maxLength, key);
  if (text !== undefined && !COMPACT_JWT.test(text)) throw invalid(`${key} is not a compact JWT`);
  return text;
}

function readFlag(value: BencodeValue | undefined): boolean {
  if (value !== undefined && value !== 0 && value !== 1) throw invalid('sl_token_check is neither 0 nor 1');
  return value === 1;
}

function readZone(value: BencodeValue | undefined): Zone | undefined {
  const text = readText(value, MAX_ZONE_LENGTH, 'sl_zone');
  try {
    return text === undefined ? undefined : parseZone(text);
  } catch (cause) {
    throw invalid('sl_zone is not a zone', cause);
  }
}

function readText(value: BencodeValue | undefined, maxLength: number, key: string): string | undefined {
  if (value === undefined) return undefined;
  if (!(value instanceof Uint8Array)) throw invalid(`${key} is not a string`);
  if (value.length > maxLength) throw invalid(`${key} is too long`);
  return Buffer.from(value).toString('utf8');
}

function invalid(reason: string, cause?: unknown): AppError {
  return new AppError('HANDSHAKE_INVALID', { reason }, { cause });
}
