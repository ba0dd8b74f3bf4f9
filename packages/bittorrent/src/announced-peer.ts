import { isIP } from 'node:net';
import { AppError } from '@sealift/core';
import type { BencodeValue } from './bencode.ts';

/** A peer that a tracker handed out. A hint where to dial, no more: who answers there is for its certificate to say. */
export interface AnnouncedPeer {
  /** 20 bytes; empty where the tracker sent none, as in compact answers. */
  readonly peerId: Buffer;
  /** An IP address without brackets, or a DNS name (BEP 3). */
  readonly host: string;
  readonly port: number;
}

/** Most peers in one answer; several times what a node dials for one blob. */
export const MAX_ANNOUNCED_PEERS = 1024;

const PEER_ID_LENGTH = 20;
/** Address and port, in bytes (BEP 23, BEP 7). */
const COMPACT_LENGTH = { ipv4: 6, ipv6: 18 } as const;
// RFC 1123 §2.1, each label fixed between its dots; the total length is checked apart.
const DNS_NAME = /^[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*$/;
/** Longest DNS name, in characters (RFC 1035 §2.3.4). */
const MAX_HOST_LENGTH = 253;

/** Reads `peers` in either form and `peers6`; throws `ANNOUNCE_FAILED`. */
export function decodePeerList(
  peers: BencodeValue | undefined,
  peers6: BencodeValue | undefined,
): readonly AnnouncedPeer[] {
  const all = [...decodeEither(peers), ...decodeCompact(peers6, COMPACT_LENGTH.ipv6)];
  if (all.length > MAX_ANNOUNCED_PEERS) throw tooMany();
  return all;
}

function decodeEither(peers: BencodeValue | undefined): readonly AnnouncedPeer[] {
  if (!Array.isArray(peers)) return decodeCompact(peers, COMPACT_LENGTH.ipv4);
  if (peers.length > MAX_ANNOUNCED_PEERS) throw tooMany();
  return peers.map(decodeDictionary);
}

function decodeDictionary(value: BencodeValue): AnnouncedPeer {
  if (!(value instanceof Map)) throw invalid('a peer is not a dictionary');
  const entries: ReadonlyMap<string, BencodeValue> = value;
  return {
    peerId: readPeerId(entries.get('peer id')),
    host: readHost(entries.get('ip')),
    port: checkPort(entries.get('port')),
  };
}

function decodeCompact(value: BencodeValue | undefined, entryLength: number): readonly AnnouncedPeer[] {
  if (value === undefined) return [];
  if (!(value instanceof Uint8Array) || value.length % entryLength !== 0) throw invalid('malformed compact peers');
  if (value.length / entryLength > MAX_ANNOUNCED_PEERS) throw tooMany();
  const bytes = Buffer.from(value);
  const peers: AnnouncedPeer[] = [];
  for (let at = 0; at < bytes.length; at += entryLength) {
    const address = bytes.subarray(at, at + entryLength - 2);
    const port = checkPort(bytes.readUInt16BE(at + entryLength - 2));
    peers.push({ peerId: Buffer.alloc(0), host: formatAddress(address), port });
  }
  return peers;
}

function formatAddress(address: Buffer): string {
  if (address.length === 4) return address.join('.');
  return (address.toString('hex').match(/.{4}/g) ?? []).join(':');
}

function readPeerId(value: BencodeValue | undefined): Buffer {
  if (value === undefined) return Buffer.alloc(0);
  if (!(value instanceof Uint8Array)) throw invalid('peer id is not a string');
  if (value.length === PEER_ID_LENGTH) return Buffer.from(value);
  // `bittorrent-tracker` 11, our tracker's announce library, sends each byte of a peer id as one character of UTF-8.
  const text = Buffer.from(value).toString('utf8');
  const peerId = Buffer.from(text, 'latin1');
  if (peerId.length !== PEER_ID_LENGTH || peerId.toString('latin1') !== text)
    throw invalid('peer id of a wrong length');
  return peerId;
}

function readHost(value: BencodeValue | undefined): string {
  if (!(value instanceof Uint8Array) || value.length > MAX_HOST_LENGTH) throw invalid('peer without address');
  const host = Buffer.from(value).toString('latin1');
  // A zone would choose among our own interfaces, which is not the tracker's to do (RFC 4007 §11).
  const isAddress = isIP(host) !== 0 && !host.includes('%');
  if (!isAddress && !DNS_NAME.test(host)) throw invalid('address of a peer is malformed');
  return host;
}

function checkPort(value: BencodeValue | undefined): number {
  if (typeof value !== 'number' || value < 1 || value > 65_535) throw invalid('port of a peer out of range');
  return value;
}

function tooMany(): AppError {
  return invalid('too many peers');
}

function invalid(reason: string): AppError {
  return new AppError('ANNOUNCE_FAILED', { reason });
}
