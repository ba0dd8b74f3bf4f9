import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import { ES256_LENGTH, signEs256, verifyEs256 } from './es256.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
/** Of so many signatures some have numbers that begin with a zero, and about half of all a set first bit. */
const MANY = 1_000;

function p1363(key: KeyObject): { key: KeyObject; dsaEncoding: 'ieee-p1363' } {
  return { key, dsaEncoding: 'ieee-p1363' };
}

test('both ways agree with those of OpenSSL, whatever the lengths of the numbers', () => {
  const firstBytes = new Set<number | undefined>();
  for (let index = 0; index < MANY; index += 1) {
    const bytes = Buffer.from(`message ${index}`);
    const ours = signEs256(bytes, privateKey);
    assert.equal(ours.length, ES256_LENGTH);
    assert.ok(verify('sha256', bytes, p1363(publicKey), ours));
    const theirs = sign('sha256', bytes, p1363(privateKey));
    assert.ok(verifyEs256(bytes, publicKey, theirs));
    firstBytes.add(theirs[0]).add(theirs[ES256_LENGTH / 2]);
  }
  assert.ok(firstBytes.has(0), 'no number began with a zero: the shorter form was not tried');
});

test('what nobody signed does not verify, and does not throw', () => {
  const bytes = Buffer.from('signed');
  const signature = signEs256(bytes, privateKey);
  const changed = (at: number, value: number): Buffer => {
    const copy = Buffer.from(signature);
    copy[at] = value;
    return copy;
  };
  const bad = [
    Buffer.alloc(0),
    Buffer.alloc(ES256_LENGTH),
    Buffer.alloc(ES256_LENGTH, 0xff),
    // The first or the second number is zero.
    Buffer.concat([Buffer.alloc(ES256_LENGTH / 2), signature.subarray(ES256_LENGTH / 2)]),
    Buffer.concat([signature.subarray(0, ES256_LENGTH / 2), Buffer.alloc(ES256_LENGTH / 2)]),
    signature.subarray(1),
    Buffer.concat([signature, Buffer.alloc(1)]),
    changed(0, (signature[0] ?? 0) ^ 1),
    changed(ES256_LENGTH - 1, (signature[ES256_LENGTH - 1] ?? 0) ^ 1),
  ];
  for (const one of bad) assert.equal(verifyEs256(bytes, publicKey, one), false);
  assert.equal(verifyEs256(Buffer.from('other'), publicKey, signature), false);
  const { publicKey: other } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  assert.equal(verifyEs256(bytes, other, signature), false);
});
