import {
  AppError,
  type NodeId,
  parseDigest,
  parseNodeId,
  parseRegistryHost,
  parseRepository,
  parseSwarmId,
  type Revocation,
  redactText,
  type SwarmId,
} from '@sealift/core';
import { ANNOUNCE_KEYS, type DenyList, encodeAnnounceExtras } from './announce-extras.ts';
import { type AnnouncedPeer, decodePeerList } from './announced-peer.ts';
import { type BencodeInput, type BencodeValue, decodeBencode, encodeBencode } from './bencode.ts';

/**
 * Longest answer, in bytes: {@link MAX_ANNOUNCED_PEERS} peers take 100 KiB, the rest is room for a deny list of 14,000
 * nodes.
 */
export const MAX_ANNOUNCE_ANSWER_LENGTH = 1024 * 1024;
/** Most values in an answer. A node id is at least three bytes, so only a hostile answer has more. */
const MAX_VALUES = 400_000;
/** Longest interval we obey, in seconds; beyond a day a node would as good as leave the swarm. */
const MAX_INTERVAL_S = 86_400;
/** Longest failure reason that is passed on, in bytes. */
const MAX_REASON_LENGTH = 200;

/** What a tracker answers to an announce (BEP 3, 7, 23). */
export interface AnnounceAnswer {
  /** Time until the next regular announce, in ms. */
  readonly intervalMs: number;
  /** Peers with the whole blob. */
  readonly complete: number;
  readonly incomplete: number;
  readonly peers: readonly AnnouncedPeer[];
  /** Present where the tracker's list differs from the asker's; it replaces that list. */
  readonly deny?: DenyList;
  /** The info hash under which the swarm is open to every certificate of the cluster; absent where it is not public. */
  readonly publicInfoHash?: SwarmId;
  /** The tracker refused the announce, and names no peers. It says so in this way only where it has a deny list to send. */
  readonly refusal?: AppError;
}

/** Encodes an answer with peers as dictionaries, as our tracker gives it. */
export function encodeAnnounceAnswer(answer: AnnounceAnswer): Buffer {
  const { intervalMs, complete, incomplete, peers, deny, publicInfoHash } = answer;
  const entries = new Map<string, BencodeInput>([
    ['interval', Math.ceil(intervalMs / 1000)],
    ['complete', complete],
    ['incomplete', incomplete],
    ['peers', peers.map(encodePeer)],
  ]);
  if (deny !== undefined) {
    // No version of an asker is negative, so it is the whole list.
    for (const [key, value] of Object.entries(encodeAnnounceExtras(deny, -1))) entries.set(key, value);
  }
  if (publicInfoHash !== undefined) entries.set(ANNOUNCE_KEYS.publicInfoHash, Buffer.from(publicInfoHash, 'hex'));
  return encodeBencode(entries);
}

/**
 * Decodes an answer whose peers are dictionaries or compact. Throws `ANNOUNCE_FAILED`, also for the tracker's own
 * `failure reason`. One false entry makes the whole answer false: it comes from a tracker that we authenticated, so it
 * is a fault to report, not noise to filter.
 */
export function decodeAnnounceAnswer(bytes: Uint8Array): AnnounceAnswer {
  const entries = decodeDictionary(bytes);
  const failure = entries.get('failure reason');
  const refusal = failure === undefined ? undefined : refusalOf(failure);
  const deny = readDenyList(entries);
  if (refusal !== undefined && deny === undefined) throw refusal;
  const interval = readCount(entries, 'interval', 1, MAX_INTERVAL_S);
  if (interval === undefined) throw invalid('no interval');
  const publicInfoHash = readInfoHash(entries.get(ANNOUNCE_KEYS.publicInfoHash));
  return {
    intervalMs: interval * 1000,
    complete: readCount(entries, 'complete', 0, Number.MAX_SAFE_INTEGER) ?? 0,
    incomplete: readCount(entries, 'incomplete', 0, Number.MAX_SAFE_INTEGER) ?? 0,
    peers: decodePeerList(entries.get('peers'), entries.get('peers6')),
    ...(deny === undefined ? {} : { deny }),
    ...(publicInfoHash === undefined ? {} : { publicInfoHash }),
    ...(refusal === undefined ? {} : { refusal }),
  };
}

function encodePeer({ peerId, host, port }: AnnouncedPeer): ReadonlyMap<string, BencodeInput> {
  const entries = new Map<string, BencodeInput>([
    ['ip', host],
    ['port', port],
  ]);
  if (peerId.length > 0) entries.set('peer id', peerId);
  return entries;
}

function decodeDictionary(bytes: Uint8Array): ReadonlyMap<string, BencodeValue> {
  let value: BencodeValue;
  try {
    value = decodeBencode(bytes, { maxBytes: MAX_ANNOUNCE_ANSWER_LENGTH, maxValues: MAX_VALUES, maxDepth: 4 });
  } catch (cause) {
    throw invalid('the answer is not bencode', cause);
  }
  if (!(value instanceof Map)) throw invalid('the answer is not a dictionary');
  return value;
}

function readCount(
  entries: ReadonlyMap<string, BencodeValue>,
  key: string,
  min: number,
  max: number,
): number | undefined {
  const value = entries.get(key);
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || value < min || value > max) throw invalid(`${key} out of range`);
  return value;
}

function readDenyList(entries: ReadonlyMap<string, BencodeValue>): DenyList | undefined {
  const version = readCount(entries, ANNOUNCE_KEYS.answerDenyVersion, 0, Number.MAX_SAFE_INTEGER);
  const list = entries.get(ANNOUNCE_KEYS.answerDeny);
  const revoked = entries.get(ANNOUNCE_KEYS.answerRevoked);
  if (list === undefined && revoked === undefined) return undefined;
  if (version === undefined) throw invalid('deny list without version');
  if (!Array.isArray(list)) throw invalid('deny list is not a list');
  if (revoked !== undefined && !Array.isArray(revoked)) throw invalid('revocations are not a list');
  return { version, nodeIds: list.map(readNodeId), revocations: (revoked ?? []).map(readRevocation) };
}

function readRevocation(value: BencodeValue): Revocation {
  if (!Array.isArray(value) || value.length < 3 || value.length > 4) throw invalid('a revocation is not well-formed');
  const [seconds, registry, repository, digest] = value;
  const provenBefore = typeof seconds === 'number' ? seconds * 1000 : Number.NaN;
  if (!Number.isSafeInteger(provenBefore) || provenBefore < 0) throw invalid('a revocation without its moment');
  try {
    return {
      registry: parseRegistryHost(readText(registry)),
      repository: parseRepository(readText(repository)),
      ...(digest === undefined ? {} : { digest: parseDigest(readText(digest)) }),
      provenBefore,
    };
  } catch (cause) {
    throw invalid('a revocation is not well-formed', cause);
  }
}

function readText(value: BencodeValue | undefined): string {
  if (!(value instanceof Uint8Array)) throw invalid('a revocation names what is no text');
  return Buffer.from(value).toString('latin1');
}

function readInfoHash(value: BencodeValue | undefined): SwarmId | undefined {
  if (value === undefined) return undefined;
  if (!(value instanceof Uint8Array) || value.length !== 20)
    throw invalid('info hash of a public swarm is not of 20 bytes');
  return parseSwarmId(Buffer.from(value).toString('hex'));
}

function readNodeId(value: BencodeValue): NodeId {
  if (!(value instanceof Uint8Array)) throw invalid('denied node id is not a string');
  try {
    return parseNodeId(Buffer.from(value).toString('latin1'));
  } catch (cause) {
    throw invalid('denied node id is not well-formed', cause);
  }
}

function refusalOf(failure: BencodeValue): AppError {
  const text =
    failure instanceof Uint8Array ? Buffer.from(failure.subarray(0, MAX_REASON_LENGTH)).toString('utf8') : '';
  return new AppError('ANNOUNCE_FAILED', { reason: 'the tracker refused', failure: redactText(text) });
}

function invalid(reason: string, cause?: unknown): AppError {
  return new AppError('ANNOUNCE_FAILED', { reason }, { cause });
}
