import { createHash } from 'node:crypto';
import { AppError, type Digest, digestBytes, type PieceGeometry, parseSwarmId, type SwarmId } from '@sealift/core';
import { type BencodeInput, encodeBencode } from './bencode.ts';

/** Bytes of one piece sum (SHA-1, BEP 3). */
export const PIECE_SUM_LENGTH = 20;

/** A metainfo file and the name of its torrent. */
export interface Metainfo {
  /** SHA-1 of the info dictionary: the `info_hash` of stock clients. */
  readonly infoHash: SwarmId;
  /** The `.torrent` file (BEP 3). */
  readonly bytes: Buffer;
}

/**
 * The metainfo of a whole blob for stock BitTorrent clients: private (BEP 27), with the cluster's CA as the `ssl-cert` that
 * makes libtorrent trade it over mutual TLS only. `name` is a directory with one file, named by the digest: the name is
 * what such clients compare with a peer's certificate, so it cannot be the digest's. Throws `GEOMETRY_INVALID` if `sums`
 * are not one for each piece.
 */
export function encodeMetainfo({
  name,
  digest,
  geometry,
  sums,
  announce,
  caPem,
}: {
  name: string;
  digest: Digest;
  geometry: PieceGeometry;
  /** {@link PIECE_SUM_LENGTH} bytes for each piece. */
  sums: Uint8Array;
  announce: string;
  caPem: string;
}): Metainfo {
  const { size, pieceLength, pieceCount } = geometry;
  if (sums.length !== pieceCount * PIECE_SUM_LENGTH) throw new AppError('GEOMETRY_INVALID', { pieceCount });
  const path = [`sha256-${Buffer.from(digestBytes(digest)).toString('hex')}`];
  const file = new Map<string, BencodeInput>([
    ['length', size],
    ['path', path],
  ]);
  const info = new Map<string, BencodeInput>([
    ['files', [file]],
    ['name', name],
    ['piece length', pieceLength],
    ['pieces', sums],
    ['private', 1],
    ['ssl-cert', caPem],
  ]);
  const root = new Map<string, BencodeInput>([
    ['announce', announce],
    ['info', info],
  ]);
  const infoHash = parseSwarmId(createHash('sha1').update(encodeBencode(info)).digest('hex'));
  return { infoHash, bytes: encodeBencode(root) };
}
