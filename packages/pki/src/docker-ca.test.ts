import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { before, suite, test } from 'node:test';
import { createSecureContext } from 'node:tls';
import { parseClusterId } from '@sealift/core';
import { FakeClock, nodeIdOf, openTlsPair } from '@sealift/testkit';
import { checkCsr } from './csr-policy.ts';
import { createDockerKey, DockerCa } from './docker-ca.ts';
import { describeCertificate, dockerSubjectOf } from './docker-certificate.ts';
import { createSigningRequest } from './signing-request.ts';
import { SwarmCa } from './swarm-ca.ts';

const DAY_MS = 86_400_000;
const SERVER = {
  role: 'server',
  dnsNames: ['docker-1.example', 'localhost'],
  ipAddresses: ['127.0.0.1', '::1'],
} as const;
const CLIENT = { role: 'client', name: 'ops laptop' } as const;

suite('a CA for Docker', () => {
  let ca: DockerCa;
  let key: string;
  before(async () => {
    ca = await DockerCa.create({ keyType: 'p-256', ttlMs: 10 * DAY_MS });
    key = await createDockerKey('p-256');
  });
  const issue = (subject: Parameters<DockerCa['issue']>[0], ttlMs = DAY_MS) =>
    ca.issue(subject, { publicKeyPem: key, ttlMs });

  for (const keyType of ['p-256', 'rsa-4096'] as const) {
    test(`certificates with ${keyType} keys let a client and a server know each other`, async (t) => {
      const own = await DockerCa.create({ keyType, ttlMs: DAY_MS });
      const [serverKey, clientKey] = [await createDockerKey(keyType), await createDockerKey('p-256')];
      const server = await own.issue(SERVER, { publicKeyPem: serverKey, ttlMs: DAY_MS });
      const client = await own.issue(CLIENT, { publicKeyPem: clientKey, ttlMs: DAY_MS });
      const pair = await openTlsPair({
        server: { cert: server, key: serverKey, ca: own.certificatePem, requestCert: true, rejectUnauthorized: true },
        client: { cert: client, key: clientKey, ca: own.certificatePem, servername: 'localhost' },
      });
      t.after(pair.close);
      assert.equal(pair.client.authorized, true);
      assert.equal(pair.server.authorized, true);
      assert.equal(describeCertificate(server).keyType, keyType);
    });
  }

  test('a server certificate says its names and addresses and is for servers alone', async () => {
    const { dnsNames, ipAddresses, usages, isCa, subject, issuer } = describeCertificate(await issue(SERVER));
    assert.deepEqual(
      { dnsNames, ipAddresses, usages, isCa },
      { ...named(SERVER), usages: ['serverAuth'], isCa: false },
    );
    assert.equal(subject, 'CN=docker-1.example');
    assert.match(issuer, /^CN=Sealift Docker CA [0-9a-f]{8}$/);
  });

  test('a client certificate says its name, has no other and is for clients alone', async () => {
    const { dnsNames, ipAddresses, usages, subject } = describeCertificate(await issue(CLIENT));
    assert.deepEqual([dnsNames, ipAddresses, usages, subject], [[], [], ['clientAuth'], 'CN=ops laptop']);
  });

  test('what a certificate is for can be read from it, so that a new one takes its place', async () => {
    assert.deepEqual(dockerSubjectOf(await issue(SERVER)), SERVER);
    assert.deepEqual(dockerSubjectOf(await issue(CLIENT)), CLIENT);
    assert.throws(() => dockerSubjectOf(ca.certificatePem), { code: 'CERTIFICATE_REJECTED' });
    assert.throws(() => dockerSubjectOf('junk'), { code: 'CERTIFICATE_REJECTED' });
  });

  test('a certificate for servers and clients at once is not renewed', async () => {
    const swarm = await SwarmCa.create({ clusterId: parseClusterId('other') });
    const { csrPem } = await createSigningRequest();
    const profile = { role: 'node', id: nodeIdOf('n1'), ttlMs: DAY_MS } as const;
    const { certificatePem } = await swarm.issue(profile, await checkCsr(csrPem));
    assert.deepEqual(describeCertificate(certificatePem).usages, ['serverAuth', 'clientAuth']);
    assert.throws(() => dockerSubjectOf(certificatePem), { code: 'CERTIFICATE_REJECTED' });
  });

  test('no certificate outlives its CA', async () => {
    const { notAfter } = describeCertificate(await issue(CLIENT, 20 * DAY_MS));
    assert.equal(notAfter, describeCertificate(ca.certificatePem).notAfter);
  });

  test('a CA comes back from its certificate and key, and with no other key', async () => {
    const again = await DockerCa.load({ certificatePem: ca.certificatePem, privateKeyPem: ca.exportPrivateKey() });
    assert.equal(again.fingerprint, ca.fingerprint);
    const other = await DockerCa.create({ keyType: 'p-256', ttlMs: DAY_MS });
    const certificate = await issue(CLIENT);
    await assert.rejects(
      DockerCa.load({ certificatePem: ca.certificatePem, privateKeyPem: other.exportPrivateKey() }),
      { code: 'CERTIFICATE_REJECTED' },
    );
    await assert.rejects(DockerCa.load({ certificatePem: certificate, privateKeyPem: key }), {
      code: 'CERTIFICATE_REJECTED',
    });
  });

  test('a CA that has expired signs nothing', async () => {
    const clock = new FakeClock();
    const short = await DockerCa.create({ keyType: 'p-256', ttlMs: DAY_MS, clock });
    const parts = { certificatePem: short.certificatePem, privateKeyPem: short.exportPrivateKey(), clock };
    clock.advance(DAY_MS);
    await assert.rejects(short.issue(CLIENT, { publicKeyPem: key, ttlMs: 1000 }), { code: 'CERTIFICATE_REJECTED' });
    await assert.rejects(DockerCa.load(parts), { code: 'CERTIFICATE_REJECTED' });
  });

  const refused = {
    'a server without a name': { ...SERVER, dnsNames: [], ipAddresses: [] },
    'a DNS name with a line break': { ...SERVER, dnsNames: ['a\nb'] },
    'an address that is none': { ...SERVER, ipAddresses: ['127.0.0.256'] },
    'a client without a name': { ...CLIENT, name: '' },
    'a client whose name gives orders': { ...CLIENT, name: 'a,O=admins' },
  };
  for (const [what, subject] of Object.entries(refused)) {
    test(`${what} gets no certificate`, async () => {
      await assert.rejects(issue(subject), { code: 'CERTIFICATE_REJECTED' });
    });
  }

  test('a life of nothing, or of more than a century, is none', async () => {
    for (const ttlMs of [0, -1, 1.5, Number.NaN, 101 * 365 * DAY_MS]) {
      await assert.rejects(issue(CLIENT, ttlMs), { code: 'CERTIFICATE_REJECTED' });
      await assert.rejects(DockerCa.create({ keyType: 'p-256', ttlMs }), { code: 'CERTIFICATE_REJECTED' });
    }
  });

  test('its leaves fit their keys, and its own certificate may sign leaves only', async () => {
    const certificate = new X509Certificate(await issue(SERVER));
    assert.equal(certificate.checkPrivateKey(createPrivateKey(key)), true);
    assert.doesNotThrow(() => createSecureContext({ cert: certificate.toString(), key }));
    assert.equal(describeCertificate(ca.certificatePem).isCa, true);
    const { privateKeyPem } = await createSigningRequest();
    assert.equal(certificate.checkPrivateKey(createPrivateKey(privateKeyPem)), false);
  });
});

function named({ dnsNames, ipAddresses }: typeof SERVER) {
  return { dnsNames: [...dnsNames], ipAddresses: [...ipAddresses] };
}
