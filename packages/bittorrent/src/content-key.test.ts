import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { newContentKey } from './content-key.fixture.ts';
import { createContentSigner, createContentVerifier } from './content-key.ts';

const BYTES = Buffer.from('signed bytes');

test('what a key signs verifies under its own id, also beside other keys', () => {
  const [first, second] = [newContentKey(), newContentKey()];
  const verifier = createContentVerifier([first.jwk, second.jwk]);
  for (const { signer } of [first, second]) {
    const signature = signer.sign(BYTES);
    assert.equal(signature.length, 64);
    assert.equal(verifier.verify(signer.keyId, BYTES, signature), true);
  }
  assert.equal(verifier.verify(second.signer.keyId, BYTES, first.signer.sign(BYTES)), false);
});

test('changed bytes, a changed signature and an unknown key do not verify', () => {
  const { signer, verifier } = newContentKey();
  const signature = signer.sign(BYTES);
  assert.equal(verifier.verify(signer.keyId, Buffer.from('other bytes'), signature), false);
  const changed = Buffer.from(signature);
  changed[0] = (changed[0] ?? 0) ^ 1;
  assert.equal(verifier.verify(signer.keyId, BYTES, changed), false);
  assert.equal(newContentKey().verifier.verify(signer.keyId, BYTES, signature), false);
});

test('lengths that no honest signer sends do not verify and do not throw', () => {
  const { signer, verifier } = newContentKey();
  const signature = signer.sign(BYTES);
  for (const odd of [Buffer.alloc(0), Buffer.alloc(64), signature.subarray(1), Buffer.concat([signature, signature])]) {
    assert.equal(verifier.verify(signer.keyId, BYTES, odd), false);
  }
  assert.equal(verifier.verify(Buffer.alloc(0), BYTES, signature), false);
  assert.equal(verifier.verify(Buffer.alloc(1000), BYTES, signature), false);
});

for (const [what, key] of [
  ['a public key', generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey],
  ['another curve', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
  ['another algorithm', generateKeyPairSync('ed25519').privateKey],
] as const) {
  test(`${what} makes no signer`, () => {
    assert.throws(() => createContentSigner(key), { code: 'CONFIG_INVALID' });
  });
}

test('what is not a P-256 key makes no verifier', () => {
  const { jwk } = newContentKey();
  for (const bad of [
    { ...jwk, x: 'AAAA' },
    { ...jwk, crv: 'P-384' },
    { ...jwk, kty: 'RSA' },
    { ...jwk, y: jwk.x },
  ]) {
    assert.throws(() => createContentVerifier([bad]), { code: 'CONFIG_INVALID' });
  }
});
