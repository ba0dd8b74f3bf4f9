import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { type ConnectionOptions, checkServerIdentity, type SecureContext } from 'node:tls';
import { parseRegistryHost } from '@sealift/core';
import { FakeClock, openTlsPair } from '@sealift/testkit';
import { certificatePem, type Issuer, signLeaf, validityFrom } from './certificate.ts';
import { InterceptCa, signInterceptCa } from './intercept-ca.ts';
import { exportPrivateKeyPem, newKeyPair } from './keys.ts';
import { x509 } from './x509.ts';

const DAY_MS = 86_400_000;
const registries = ['registry.example:5000', 'hub.example', '127.0.0.1:5000', '[::1]:5000'].map(parseRegistryHost);
const nodeName = 'worker-7';

/** Connects as the runtime does: it trusts `anchors` and expects `host`. */
function dial({ context, host, anchors }: { context: SecureContext; host: string; anchors: string }) {
  const client: ConnectionOptions = {
    ca: anchors,
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
  };
  return openTlsPair({ server: { SNICallback: (_name, done) => done(null, context) }, client: withSni(client, host) });
}

// A server looks for its context by SNI, and an address is no valid SNI: the name in the ClientHello does not matter here.
function withSni(client: ConnectionOptions, host: string): ConnectionOptions {
  return { ...client, servername: /^[\d.:]+$/.test(host) ? 'by-address.example' : host };
}

test('a runtime that trusts the CA accepts its leaves, for names and for addresses', async (t) => {
  const ca = await InterceptCa.create({ registries, nodeName });
  for (const host of ['registry.example', 'hub.example', '127.0.0.1', '::1']) {
    const pair = await dial({ context: await ca.secureContextFor(host), host, anchors: ca.certificatePem });
    t.after(pair.close);
    assert.equal(pair.client.authorized, true);
  }
});

test('no leaf is made for a host that is not configured', async () => {
  const ca = await InterceptCa.create({ registries, nodeName });
  const hosts = [
    'evil.example',
    'sub.registry.example',
    'registry.example:5000',
    'registry.example.',
    '127.0.0.2',
    '::2',
    '',
  ];
  for (const host of hosts) await assert.rejects(ca.secureContextFor(host), { code: 'CERTIFICATE_REJECTED' });
});

test('all spellings of a host share one leaf, which is replaced in time', async () => {
  const clock = new FakeClock();
  const ca = await InterceptCa.create({ registries, nodeName, clock });
  const first = await ca.secureContextFor('registry.example');
  assert.equal(await ca.secureContextFor('REGISTRY.example'), first);
  assert.equal(await ca.secureContextFor('[0:0:0:0:0:0:0:1]'), await ca.secureContextFor('::1'));
  clock.advance(DAY_MS);
  assert.equal(await ca.secureContextFor('registry.example'), first);
  clock.advance(6 * DAY_MS);
  assert.notEqual(await ca.secureContextFor('registry.example'), first);
});

test('the CA says whose it is and may sign leaves only', async () => {
  const { certificatePem: pem } = await InterceptCa.create({ registries, nodeName });
  const certificate = new X509Certificate(pem);
  assert.equal(certificate.subject, 'CN=Sealift intercept CA worker-7');
  assert.equal(certificate.ca, true);
});

test('two CAs of one node have keys of their own', async () => {
  const [one, two] = [
    await InterceptCa.create({ registries, nodeName }),
    await InterceptCa.create({ registries, nodeName }),
  ];
  const keyOf = (ca: InterceptCa) => new X509Certificate(ca.certificatePem).publicKey;
  assert.equal(keyOf(one).equals(keyOf(two)), false);
});

test('a CA for no registry at all is not made', async () => {
  await assert.rejects(InterceptCa.create({ registries: [], nodeName }), { code: 'CONFIG_INVALID' });
});

// What a thief of the key could sign. `honest` rows are the control: the same way of signing, inside the limits.
const attempts: readonly { hosts: readonly string[]; names: x509.JsonGeneralNames; isHonest?: boolean }[] = [
  { hosts: ['registry.example'], names: [{ type: 'dns', value: 'registry.example' }], isHonest: true },
  { hosts: ['127.0.0.1'], names: [{ type: 'ip', value: '127.0.0.1' }], isHonest: true },
  { hosts: ['::1'], names: [{ type: 'ip', value: '::1' }], isHonest: true },
  { hosts: ['registry.example'], names: [{ type: 'dns', value: 'evil.example' }] },
  { hosts: ['registry.example'], names: [{ type: 'dns', value: '*.example' }] },
  { hosts: ['registry.example'], names: [{ type: 'dns', value: 'evilregistry.example' }] },
  { hosts: ['registry.example'], names: [{ type: 'ip', value: '127.0.0.1' }] },
  { hosts: ['registry.example'], names: [{ type: 'ip', value: '::1' }] },
  { hosts: ['registry.example'], names: [{ type: 'url', value: 'spiffe://alpha/node/alice' }] },
  { hosts: ['registry.example'], names: [{ type: 'email', value: 'root@evil.example' }] },
  { hosts: ['127.0.0.1'], names: [{ type: 'ip', value: '127.0.0.2' }] },
  { hosts: ['127.0.0.1'], names: [{ type: 'ip', value: '::1' }] },
  { hosts: ['127.0.0.1'], names: [{ type: 'dns', value: 'registry.example' }] },
  {
    hosts: ['registry.example'],
    names: [
      { type: 'dns', value: 'registry.example' },
      { type: 'dns', value: 'evil.example' },
    ],
  },
];

async function stolenCa(hosts: readonly string[]): Promise<Issuer> {
  const keys = await newKeyPair({ isExtractable: true });
  const certificate = await signInterceptCa({ keys, hosts, nodeName, now: Date.now() });
  return { certificate, privateKey: keys.privateKey };
}

async function signAnything(issuer: Issuer, names: x509.JsonGeneralNames): Promise<{ cert: string; key: string }> {
  const keys = await newKeyPair({ isExtractable: true });
  const leaf = await signLeaf({
    issuer,
    publicKey: keys.publicKey,
    commonName: 'x',
    validity: validityFrom(Date.now(), DAY_MS),
    extendedKeyUsages: [x509.ExtendedKeyUsage.serverAuth],
    names,
  });
  return { cert: certificatePem(leaf), key: exportPrivateKeyPem(keys.privateKey) };
}

for (const { hosts, names, isHonest = false } of attempts) {
  const what = names.map(({ type, value }) => `${type}:${value}`).join(' and ');

  test(`to a Node client, a CA for ${hosts} is ${isHonest ? 'good' : 'no good'} for ${what}`, async (t) => {
    const issuer = await stolenCa(hosts);
    const pairing = openTlsPair({
      server: await signAnything(issuer, names),
      // The chain alone is judged here, not the name asked for.
      client: { ca: certificatePem(issuer.certificate), checkServerIdentity: () => undefined },
    });
    if (isHonest) t.after((await pairing).close);
    // Node has no code of its own for a violated name constraint.
    else await assert.rejects(pairing, { code: 'UNSPECIFIED', message: /permitted subtree|excluded subtree/ });
  });
}

let opensslProblem: string | false = false;
before(() => {
  if (spawnSync('openssl', ['version']).status !== 0) opensslProblem = 'there is no openssl on this machine';
});

test('to openssl verify, each of these CAs is good for the same names as to a Node client', async (t: TestContext) => {
  if (opensslProblem !== false) return t.skip(opensslProblem);
  const directory = await mkdtemp(join(tmpdir(), 'sealift-intercept-'));
  t.after(() => rm(directory, { recursive: true }));
  const [caFile, leafFile] = [join(directory, 'ca.pem'), join(directory, 'leaf.pem')];
  for (const { hosts, names, isHonest = false } of attempts) {
    const issuer = await stolenCa(hosts);
    await writeFile(caFile, certificatePem(issuer.certificate));
    await writeFile(leafFile, (await signAnything(issuer, names)).cert);
    const { status, stderr } = spawnSync('openssl', ['verify', '-x509_strict', '-CAfile', caFile, leafFile]);
    assert.equal(status === 0, isHonest, `${JSON.stringify(names)}: ${stderr.toString()}`);
    if (!isHonest) assert.match(stderr.toString(), /(?:permitted|excluded) subtree violation/);
  }
});
