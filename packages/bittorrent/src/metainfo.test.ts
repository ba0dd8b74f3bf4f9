import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { digestFromSha256, pieceGeometry } from '@sealift/core';
import { type BencodeInput, decodeBencode, encodeBencode } from './bencode.ts';
import { encodeMetainfo, PIECE_SUM_LENGTH } from './metainfo.ts';

const digest = digestFromSha256(Buffer.alloc(32, 0xab));
const geometry = pieceGeometry(40_000, 16_384);
const sums = Buffer.alloc(3 * PIECE_SUM_LENGTH, 5);
const parts = { name: 'peer', digest, geometry, sums, announce: 'https://tracker.example/announce', caPem: 'PEM' };

test('a metainfo is that of one file, private, under the CA, and its info hash is the SHA-1 of its info dictionary', () => {
  const { bytes, infoHash } = encodeMetainfo(parts);
  const root = decodeBencode(bytes) as ReadonlyMap<string, BencodeInput>;
  const info = root.get('info') as ReadonlyMap<string, BencodeInput>;
  assert.deepEqual([...info.keys()], ['files', 'name', 'piece length', 'pieces', 'private', 'ssl-cert']);
  assert.equal(info.get('private'), 1);
  assert.deepEqual(info.get('pieces'), sums);
  assert.equal(createHash('sha1').update(encodeBencode(info)).digest('hex'), infoHash);
});

test('the address of the tracker is no part of what the info hash names, the CA is', () => {
  const { infoHash } = encodeMetainfo(parts);
  assert.equal(encodeMetainfo({ ...parts, announce: 'https://other.example/announce' }).infoHash, infoHash);
  assert.notEqual(encodeMetainfo({ ...parts, caPem: 'other' }).infoHash, infoHash);
});

test('sums that are not one for each piece make no metainfo', () => {
  assert.throws(() => encodeMetainfo({ ...parts, sums: sums.subarray(1) }), { code: 'GEOMETRY_INVALID' });
});
