import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import { buildCsr } from '@sealift/testkit';
import fc from 'fast-check';
import { type CheckedCsr, checkCsr } from './csr-policy.ts';
import { createSigningRequest } from './signing-request.ts';

// Each row is a valid request but for one field, so it can fail for one reason only; `rule` proves which.
const refused = [
  { rule: 'size', change: { isOversize: true } },
  { rule: 'pem', change: { isNotPem: true } },
  { rule: 'encoding', change: { isJunk: true } },
  { rule: 'key-type', change: { keyType: 'rsa-2048' } },
  { rule: 'key-type', change: { keyType: 'p-384' } },
  { rule: 'signature-algorithm', change: { hash: 'SHA-384' } },
  { rule: 'signature', change: { signedByOtherKey: true } },
  { rule: 'no-dns-names', change: { dnsNames: ['registry.example'] } },
  { rule: 'no-extensions', change: { uris: ['spiffe://alpha/node/alice'] } },
  { rule: 'no-extensions', change: { isCa: true } },
  { rule: 'no-attributes', change: { challengePassword: 'hunter2' } },
] as const;

for (const { rule, change } of refused) {
  test(`a signing request that breaks the rule "${rule}" is refused (${JSON.stringify(change)})`, async () => {
    const csr = await buildCsr(change);
    await assert.rejects(checkCsr(csr), { code: 'CSR_REJECTED', details: { rule } });
  });
}

test('a signing request of an honest node passes, by whichever tool it was made', async () => {
  await checkCsr((await createSigningRequest()).csrPem);
  await checkCsr(await buildCsr({ commonName: 'ignored' }));
});

test('a checked request gives out its key once', async () => {
  const csr = await checkCsr(await buildCsr());
  csr.takePublicKey();
  assert.throws(() => csr.takePublicKey(), { code: 'CSR_REJECTED', details: { rule: 'used-once' } });
});

// Some bits of DER carry no meaning, such as the count of unused bits before a signature; they must not carry one here.
test('a signing request with any byte changed is refused with a code, or certifies the same key', async () => {
  const pem = await buildCsr();
  const spkiOf = async (csr: CheckedCsr) => Buffer.from(await crypto.subtle.exportKey('spki', csr.takePublicKey()));
  const spki = await spkiOf(await checkCsr(pem));
  const der = Buffer.from(pem.replaceAll(/-----.*-----/g, ''), 'base64');
  await fc.assert(
    fc.asyncProperty(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), async (index, mask) => {
      const changed = Buffer.from(der);
      changed[index] = (changed[index] ?? 0) ^ mask;
      const changedPem = `-----BEGIN CERTIFICATE REQUEST-----\n${changed.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
      const accepted = await checkCsr(changedPem).catch((error: unknown) => {
        assert.ok(isAppError(error, 'CSR_REJECTED'));
      });
      if (accepted !== undefined) assert.deepEqual(await spkiOf(accepted), spki);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('arbitrary text is refused with a code', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), async (text) => {
      await assert.rejects(checkCsr(text), { code: 'CSR_REJECTED' });
    }),
    { seed: 1, numRuns: 100 },
  );
});
