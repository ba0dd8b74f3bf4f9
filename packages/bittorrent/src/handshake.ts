import { AppError, parseSwarmId, type SwarmId } from '@sealift/core';

/** Bytes of a BitTorrent handshake (BEP 3). */
export const HANDSHAKE_LENGTH = 68;

const PROTOCOL = Buffer.from('\x13BitTorrent protocol', 'latin1');
const RESERVED_OFFSET = 20;
const SWARM_ID_OFFSET = 28;
const PEER_ID_OFFSET = 48;
/** Byte 5 of the reserved bytes, BEP 10. */
const EXTENDED_BIT = 0x10;
/** Byte 7 of the reserved bytes, BEP 6. */
const FAST_BIT = 0x04;

/** What opens a peer connection (BEP 3). It proves nothing: the certificate says who the peer is, the grant what it may. */
export interface Handshake {
  readonly swarmId: SwarmId;
  /** 20 bytes. */
  readonly peerId: Buffer;
  /** BEP 10. Sealift speaks to no peer without it. */
  readonly supportsExtended: boolean;
  /** BEP 6. Sealift speaks to no peer without it. */
  readonly supportsFast: boolean;
}

/** Encodes a handshake; throws `HANDSHAKE_INVALID` if the peer id is not of 20 bytes. */
export function encodeHandshake({ swarmId, peerId, supportsExtended, supportsFast }: Handshake): Buffer {
  if (peerId.length !== HANDSHAKE_LENGTH - PEER_ID_OFFSET) throw invalid('peer id of a wrong length', peerId.length);
  const bytes = Buffer.alloc(HANDSHAKE_LENGTH);
  bytes.set(PROTOCOL, 0);
  bytes.writeUInt8(supportsExtended ? EXTENDED_BIT : 0, RESERVED_OFFSET + 5);
  bytes.writeUInt8(supportsFast ? FAST_BIT : 0, RESERVED_OFFSET + 7);
  bytes.write(swarmId, SWARM_ID_OFFSET, 'hex');
  bytes.set(peerId, PEER_ID_OFFSET);
  return bytes;
}

/** Decodes exactly one handshake; throws `HANDSHAKE_INVALID`. Other reserved bits are other extensions' and ignored. */
export function decodeHandshake(bytes: Uint8Array): Handshake {
  if (bytes.length !== HANDSHAKE_LENGTH) throw invalid('handshake of a wrong length', bytes.length);
  const copy = Buffer.from(bytes);
  if (!copy.subarray(0, RESERVED_OFFSET).equals(PROTOCOL)) throw invalid('another protocol');
  return {
    swarmId: parseSwarmId(copy.toString('hex', SWARM_ID_OFFSET, PEER_ID_OFFSET)),
    peerId: copy.subarray(PEER_ID_OFFSET),
    supportsExtended: (copy.readUInt8(RESERVED_OFFSET + 5) & EXTENDED_BIT) !== 0,
    supportsFast: (copy.readUInt8(RESERVED_OFFSET + 7) & FAST_BIT) !== 0,
  };
}

function invalid(reason: string, length?: number): AppError {
  return new AppError('HANDSHAKE_INVALID', { reason, length });
}
