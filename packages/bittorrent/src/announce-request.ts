import type { SwarmId, Zone } from '@sealift/core';
import { ANNOUNCE_KEYS } from './announce-extras.ts';
import { PEER_ID_PREFIX } from './peer-id.ts';

/** One announce (BEP 3). */
export interface AnnounceRequest {
  readonly swarmId: SwarmId;
  readonly event?: 'started' | 'completed' | 'stopped';
  /** Bytes still to fetch; 0 makes the asker a seeder. */
  readonly left: number;
  /** Bytes sent to peers since `started`. */
  readonly uploaded: number;
  /** Bytes fetched from peers since `started`. */
  readonly downloaded: number;
  /** Where this node takes peer connections. */
  readonly port: number;
  /** The IP address to hand out in place of the connection's. */
  readonly ip?: string;
  /** The asker's zone, where zones are configured. */
  readonly zone?: Zone;
  /** Peers wanted; the tracker's default if absent. */
  readonly numwant?: number;
  /** Proof of the right to this swarm. Travels as a header only, never in the query. */
  readonly grant: string;
  /** Version of the deny list that the asker holds; 0 if none. */
  readonly denyVersion: number;
  /** 20 bytes; for trackers that do not derive it from the certificate, as ours does. */
  readonly peerId?: Uint8Array;
}

// BEP 3 demands a peer id of 20 bytes; our tracker takes the certificate's and ignores this one.
const PEER_ID_PLACEHOLDER = Buffer.from(PEER_ID_PREFIX.padEnd(20, '0'), 'latin1');

/** The query of an announce, without `?`. Holds no grant. */
export function encodeAnnounceQuery(request: AnnounceRequest): string {
  const fields = [
    `info_hash=${percentEncode(Buffer.from(request.swarmId, 'hex'))}`,
    `peer_id=${percentEncode(request.peerId ?? PEER_ID_PLACEHOLDER)}`,
    `port=${request.port}`,
    `uploaded=${request.uploaded}`,
    `downloaded=${request.downloaded}`,
    `left=${request.left}`,
    'compact=0',
    `${ANNOUNCE_KEYS.denyVersion}=${request.denyVersion}`,
  ];
  if (request.event !== undefined) fields.push(`event=${request.event}`);
  if (request.numwant !== undefined) fields.push(`numwant=${request.numwant}`);
  if (request.ip !== undefined) fields.push(`ip=${percentEncode(Buffer.from(request.ip, 'utf8'))}`);
  if (request.zone !== undefined) fields.push(`${ANNOUNCE_KEYS.zone}=${request.zone}`);
  return fields.join('&');
}

/** Every byte but the unreserved characters of RFC 3986 §2.3 as `%XX`; `encodeURIComponent` knows text only. */
function percentEncode(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += /[A-Za-z0-9._~-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return text;
}
