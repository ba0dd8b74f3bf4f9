import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { parseJwksLeniently, parseKeySet } from './key-set.ts';
import { suits } from './signing-key.ts';
import { TestIssuer } from './token.fixture.ts';

const issuer = new TestIssuer();
const rsa = new TestIssuer('RS256');
const invalid = { code: 'CONFIG_INVALID' };
const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
const weakPem = weak.export({ type: 'spki', format: 'pem' }) as string;

test('a file of keys and certificates gives all keys, and the CAs as roots', async () => {
  const ca = await issuer.certificate({ isCa: true });
  const leaf = await new TestIssuer().certificate();
  const set = parseKeySet(`# two issuers\n${ca}\n${leaf}${rsa.pem}`);
  assert.equal(set.keys.length, 3);
  assert.deepEqual(
    set.roots.map(({ fingerprint256 }) => fingerprint256),
    [ca.fingerprint256],
  );
});

test('a JWKS and a single JWK give their keys under every name', () => {
  const set = parseKeySet(JSON.stringify({ keys: [{ ...rsa.jwk, kid: 'mine', alg: 'PS256' }, issuer.jwk] }));
  assert.deepEqual([...(set.keys[0]?.ids ?? [])], [rsa.thumbprint, rsa.libtrustId, 'mine']);
  assert.ok(set.keys[0] && suits(set.keys[0], 'PS256') && !suits(set.keys[0], 'RS256'));
  assert.equal(parseKeySet(JSON.stringify(issuer.jwk)).keys.length, 1);
});

const refused: readonly (readonly [string, string])[] = [
  ['nothing', ''],
  ['text', 'no key'],
  ['JSON cut short', '{"keys":['],
  ['JSON that is no JWKS', '{"a":1}'],
  ['an empty JWKS', '{"keys":[]}'],
  ['a private JWK', JSON.stringify(issuer.privateKey.export({ format: 'jwk' }))],
  ['a symmetric JWK', '{"keys":[{"kty":"oct","k":"AAAA"}]}'],
  ['a JWK for encryption', JSON.stringify({ ...issuer.jwk, use: 'enc' })],
  ['a JWK for HS256', JSON.stringify({ ...issuer.jwk, alg: 'HS256' })],
  ['an RSA key of 1024 bits', weakPem],
  ['an RSA JWK of 1024 bits', JSON.stringify(weak.export({ format: 'jwk' }))],
  ['a private key in PEM', issuer.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string],
  ['a broken key beside a good one', `${issuer.pem}-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n`],
  ['more keys than any issuer has', issuer.pem.repeat(65)],
];

for (const [what, text] of refused) {
  test(`a key file with ${what} is refused`, () => assert.throws(() => parseKeySet(text), invalid));
}

test('a JWKS of somebody else may hold keys that we have no use for', () => {
  const keys = [issuer.jwk, { kty: 'oct', k: 'AAAA' }, null, 7, { ...rsa.jwk, use: 'enc' }, { kty: 'future' }];
  assert.equal(parseJwksLeniently(JSON.stringify({ keys })).keys.length, 1);
  assert.throws(() => parseJwksLeniently('<html>'), invalid);
});
