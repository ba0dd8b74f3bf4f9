import { createHash, hash } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type BencodeInput, encodeBencode } from '@sealift/bittorrent';

/** A file as BitTorrent programs know it. */
export interface Torrent {
  readonly file: string;
  /** 40 hex digits. */
  readonly infoHash: string;
}

/**
 * Writes a metainfo file (BEP 3) for `data`: one file, private (BEP 27). With `sslCert` it is an SSL torrent, which libtorrent
 * trades over mutual TLS under that CA only.
 */
export async function writeTorrent(
  file: string,
  { data, pieceLength, announce, sslCert }: { data: string; pieceLength: number; announce?: string; sslCert?: string },
): Promise<Torrent> {
  const { pieces, length } = await hashPieces(data, pieceLength);
  const info = new Map<string, BencodeInput>([
    ['length', length],
    ['name', path.basename(data)],
    ['piece length', pieceLength],
    ['pieces', pieces],
    ['private', 1],
  ]);
  if (sslCert !== undefined) info.set('ssl-cert', sslCert);
  const root = new Map<string, BencodeInput>([['info', info]]);
  if (announce !== undefined) root.set('announce', announce);
  await writeFile(file, encodeBencode(root));
  return { file, infoHash: createHash('sha1').update(encodeBencode(info)).digest('hex') };
}

async function hashPieces(data: string, pieceLength: number): Promise<{ pieces: Buffer; length: number }> {
  await using handle = await open(data);
  const hashes: Buffer[] = [];
  const piece = Buffer.allocUnsafe(pieceLength);
  for (let length = 0; ; ) {
    const { bytesRead } = await handle.read(piece, 0, pieceLength, length);
    if (bytesRead === 0) return { pieces: Buffer.concat(hashes), length };
    hashes.push(hash('sha1', piece.subarray(0, bytesRead), 'buffer'));
    length += bytesRead;
  }
}
