import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decryptPrivateKey, encryptPrivateKey } from './private-key-encryption.ts';
import { createSigningRequest } from './signing-request.ts';

test('a key comes back from under its passphrase, and is unreadable in between', async () => {
  const { privateKeyPem } = await createSigningRequest();
  const encrypted = encryptPrivateKey(privateKeyPem, 'correct horse');
  assert.match(encrypted, /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  assert.equal(decryptPrivateKey(encrypted, 'correct horse'), privateKeyPem);
  assert.equal(decryptPrivateKey(privateKeyPem, undefined), privateKeyPem);
});

test('a wrong, empty, missing or needless passphrase is refused', async () => {
  const { privateKeyPem } = await createSigningRequest();
  const encrypted = encryptPrivateKey(privateKeyPem, 'correct horse');
  for (const passphrase of ['wrong horse', '', undefined]) {
    assert.throws(() => decryptPrivateKey(encrypted, passphrase), { code: 'KEY_FILE_UNSAFE' });
  }
  assert.throws(() => decryptPrivateKey(privateKeyPem, 'correct horse'), { code: 'KEY_FILE_UNSAFE' });
  assert.throws(() => encryptPrivateKey(privateKeyPem, ''), { code: 'KEY_FILE_UNSAFE' });
});

test('junk is refused with a code, and never quoted', () => {
  assert.throws(
    () => decryptPrivateKey('my secret text', undefined),
    (error: Error & { code?: string }) => error.code === 'KEY_FILE_UNSAFE' && !error.message.includes('my secret text'),
  );
});
