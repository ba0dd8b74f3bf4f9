import assert from 'node:assert/strict';
import { createPublicKey, KeyObject, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { selfSignCa, signLeaf, validityFrom } from './certificate.ts';
import { newKeyPair } from './keys.ts';
import { encodeTbs, leafIssuerOf, pemOfDer, signLeafFast } from './leaf.ts';
import { x509 } from './x509.ts';

const keys = await newKeyPair({ isExtractable: true });
const certificate = await selfSignCa({
  keys,
  commonName: 'Sealift swarm CA test',
  validity: validityFrom(Date.UTC(2026, 0, 1), 86_400_000),
  extensions: [],
});
const issuer = await leafIssuerOf(certificate, KeyObject.from(keys.privateKey));
const leafKeys = await newKeyPair({ isExtractable: true });
const publicKey = KeyObject.from(leafKeys.publicKey);
const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const second = fc.integer({ min: 0, max: Date.UTC(2090, 0, 1) / 1000 }).map((seconds) => seconds * 1000);
const names = fc
  .tuple(label, fc.array(label, { maxLength: 9 }), fc.array(fc.ipV4(), { maxLength: 3 }))
  .map(
    ([id, dns, ips]): x509.JsonGeneralNames => [
      { type: 'url', value: `spiffe://cluster/node/${id}` },
      ...dns.map((value) => ({ type: 'dns' as const, value })),
      ...ips.map((value) => ({ type: 'ip' as const, value })),
    ],
  );

test('what is signed is byte for byte what the library writes', async () => {
  await fc.assert(
    fc.asyncProperty(label, second, second, fc.boolean(), names, async (commonName, from, until, isServer, sans) => {
      const validity = { notBefore: Math.min(from, until), notAfter: Math.max(from, until) };
      const extendedKeyUsages = isServer ? [serverAuth] : [serverAuth, clientAuth];
      const contents = { commonName, validity, extendedKeyUsages, names: sans };
      const byLibrary = await signLeaf({
        issuer: { certificate, privateKey: keys.privateKey },
        publicKey: leafKeys.publicKey,
        ...contents,
      });
      const serial = Buffer.from(byLibrary.serialNumber, 'hex');
      const tbs = encodeTbs(issuer, { publicKey, ...contents }, serial);
      assert.ok(Buffer.from(byLibrary.rawData).includes(tbs));
    }),
    { seed: 1, numRuns: 100 },
  );
});

test('a leaf is read and verified by OpenSSL, and its PEM is the usual one', () => {
  const validity = validityFrom(Date.UTC(2026, 0, 1), 3_600_000);
  const sans: x509.JsonGeneralNames = [{ type: 'url', value: 'spiffe://cluster/node/alice' }];
  const { der, serial } = signLeafFast(issuer, {
    publicKey,
    commonName: 'alice',
    validity,
    extendedKeyUsages: [serverAuth, clientAuth],
    names: sans,
  });
  const leaf = new X509Certificate(pemOfDer(der));
  assert.ok(leaf.raw.equals(der));
  assert.equal(leaf.toString(), pemOfDer(der));
  assert.equal(leaf.serialNumber.toLowerCase(), serial);
  assert.ok(leaf.verify(createPublicKey(KeyObject.from(keys.privateKey))));
  assert.ok(leaf.publicKey.equals(publicKey));
  assert.equal(leaf.ca, false);
});
