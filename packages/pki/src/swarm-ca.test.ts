import assert from 'node:assert/strict';
import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { parseClusterId } from '@sealift/core';
import { buildCsr, FakeClock, HostileCertificates, nodeIdOf } from '@sealift/testkit';
import { checkCsr } from './csr-policy.ts';
import { identityOfCertificate } from './identity.ts';
import type { CertificateProfile } from './profile.ts';
import { createSigningRequest } from './signing-request.ts';
import { SwarmCa } from './swarm-ca.ts';

const clusterId = parseClusterId('alpha');
const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
const alice: CertificateProfile = { role: 'node', id: nodeIdOf('alice'), ttlMs: HOUR_MS };

async function issueTo(ca: SwarmCa, profile: CertificateProfile) {
  return await ca.issue(profile, await checkCsr(await buildCsr()));
}

test('a leaf holds the identity of its profile, starts six minutes ago and ends when the profile says', async () => {
  const clock = new FakeClock();
  const ca = await SwarmCa.create({ clusterId, clock });
  const issued = await issueTo(ca, alice);
  const certificate = new X509Certificate(issued.certificatePem);
  const identity = identityOfCertificate(certificate);
  assert.deepEqual(identity, {
    clusterId,
    role: 'node',
    id: 'alice',
    x5tS256: createHash('sha256').update(certificate.raw).digest('base64url'),
    issuer: ca.name,
    notBefore: clock.now() - 360_000,
    notAfter: clock.now() + HOUR_MS,
  });
  const { x5tS256, notBefore, notAfter } = identity;
  assert.deepEqual(
    { ...issued, certificatePem: '' },
    {
      certificatePem: '',
      serial: certificate.serialNumber.toLowerCase(),
      x5tS256,
      notBefore,
      notAfter,
    },
  );
  assert.equal(certificate.verify(new X509Certificate(ca.certificatePem).publicKey), true);
  assert.equal(certificate.ca, false);
});

test('nothing of a signing request but its public key gets into the certificate', async () => {
  const ca = await SwarmCa.create({ clusterId });
  const csrPem = await buildCsr({ commonName: 'tracker' });
  const { certificatePem } = await ca.issue(alice, await checkCsr(csrPem));
  const certificate = new X509Certificate(certificatePem);
  assert.equal(certificate.subject, 'CN=sealift-peer');
  assert.equal(certificate.subjectAltName, 'URI:spiffe://alpha/node/alice');
});

test('the certificate is for the key that the node made', async () => {
  const ca = await SwarmCa.create({ clusterId });
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const { certificatePem } = await ca.issue(alice, await checkCsr(csrPem));
  assert.equal(new X509Certificate(certificatePem).publicKey.equals(createPublicKey(privateKeyPem)), true);
});

test('one checked request buys one certificate', async () => {
  const ca = await SwarmCa.create({ clusterId });
  const csr = await checkCsr(await buildCsr());
  await ca.issue(alice, csr);
  await assert.rejects(ca.issue(alice, csr), { code: 'CSR_REJECTED', details: { rule: 'used-once' } });
});

test('two leaves of the same profile have serials of their own', async () => {
  const ca = await SwarmCa.create({ clusterId });
  assert.notEqual((await issueTo(ca, alice)).serial, (await issueTo(ca, alice)).serial);
});

test('a leaf never outlives the CA, and an expired CA signs nothing and does not load', async () => {
  const clock = new FakeClock();
  const ca = await SwarmCa.create({ clusterId, clock });
  const caEnd = new X509Certificate(ca.certificatePem).validToDate.getTime();
  assert.equal((await issueTo(ca, { ...alice, ttlMs: 20 * YEAR_MS })).notAfter, caEnd);
  clock.advance(10 * YEAR_MS);
  await assert.rejects(issueTo(ca, alice), { code: 'CERTIFICATE_REJECTED' });
  const privateKeyPem = await ca.exportPrivateKey();
  await assert.rejects(SwarmCa.load({ certificatePem: ca.certificatePem, privateKeyPem, clock }), {
    code: 'CERTIFICATE_REJECTED',
  });
});

test('a tracker may have host names, a node may not', async () => {
  const ca = await SwarmCa.create({ clusterId });
  const hosts = { dnsNames: ['tracker.example'], ipAddresses: ['127.0.0.1', '::1'] };
  const { certificatePem } = await issueTo(ca, { ...alice, role: 'tracker', ...hosts });
  assert.equal(
    new X509Certificate(certificatePem).subjectAltName,
    'URI:spiffe://alpha/tracker/alice, DNS:tracker.example, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
  );
  await assert.rejects(issueTo(ca, { ...alice, ...hosts }), { code: 'CERTIFICATE_REJECTED' });
});

const badProfiles: readonly Partial<CertificateProfile>[] = [
  { ttlMs: 0 },
  { ttlMs: Number.NaN },
  { role: 'tracker', dnsNames: ['a, URI:spiffe://alpha/node/bob'] },
  { role: 'tracker', dnsNames: [''] },
  { role: 'tracker', ipAddresses: ['300.0.0.1'] },
];
for (const change of badProfiles) {
  test(`a profile with ${JSON.stringify(change)} is not signed, and does not use up the request`, async () => {
    const ca = await SwarmCa.create({ clusterId });
    const csr = await checkCsr(await buildCsr());
    await assert.rejects(ca.issue({ ...alice, ...change }, csr), { code: 'CERTIFICATE_REJECTED' });
    await ca.issue(alice, csr);
  });
}

test('a CA that was written down loads as the same CA', async () => {
  const ca = await SwarmCa.create({ clusterId });
  const loaded = await SwarmCa.load({
    certificatePem: ca.certificatePem,
    privateKeyPem: await ca.exportPrivateKey(),
  });
  assert.equal(loaded.clusterId, clusterId);
  assert.equal(loaded.fingerprint, ca.fingerprint);
  assert.match(ca.fingerprint, /^sha256:[0-9a-f]{64}$/);
  const leaf = new X509Certificate((await issueTo(loaded, alice)).certificatePem);
  assert.equal(leaf.verify(new X509Certificate(ca.certificatePem).publicKey), true);
});

test('a CA does not load with the key of another, from a leaf, or from junk', async () => {
  const [ca, other] = [await SwarmCa.create({ clusterId }), await SwarmCa.create({ clusterId })];
  const leaf = await new HostileCertificates({ ca }).material('is-ca');
  const pairs = [
    { certificatePem: ca.certificatePem, privateKeyPem: await other.exportPrivateKey() },
    leaf,
    { certificatePem: 'junk', privateKeyPem: 'junk' },
  ];
  for (const pair of pairs) await assert.rejects(SwarmCa.load(pair), { code: 'CERTIFICATE_REJECTED' });
});
