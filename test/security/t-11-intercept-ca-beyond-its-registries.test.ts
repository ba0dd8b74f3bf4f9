import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { parseRegistryHost } from '@sealift/core';
import { InterceptCa } from '@sealift/pki';
import { openTlsPair } from '@sealift/testkit';
import { certificatePem, type Issuer, signLeaf, validityFrom } from '../../packages/pki/src/certificate.ts';
import { signInterceptCa } from '../../packages/pki/src/intercept-ca.ts';
import { exportPrivateKeyPem, newKeyPair } from '../../packages/pki/src/keys.ts';
import { x509 } from '../../packages/pki/src/x509.ts';
import { connectTo, startProxy, startUpstream } from '../../packages/proxy/src/proxy.fixture.ts';

const DAY_MS = 86_400_000;
const nodeName = 'worker-7';

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
  const certificate = await signInterceptCa({ keys, hosts, nodeName });
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

  test(`T-11: to a Node client, a CA for ${hosts} is ${isHonest ? 'good' : 'no good'} for ${what}`, async (t) => {
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

test('T-11: to openssl verify, each of these CAs is good for the same names as to a Node client', async (t: TestContext) => {
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

test('T-11: the CA gives out no leaf for a host that is not configured', async () => {
  const ca = await InterceptCa.create({ registries: [parseRegistryHost('registry.example:5000')], nodeName });
  for (const host of ['evil.example', 'sub.registry.example', 'registry.example.evil.example', '127.0.0.1', ''])
    await assert.rejects(ca.secureContextFor(host));
});

test('T-11: any other host is tunnelled blind, and shows its own certificate', async (t) => {
  const [registry, other] = [await startUpstream(t, () => {}), await startUpstream(t, () => {})];
  const proxy = await startProxy(t, { registries: [registry.config] });
  const socket = await connectTo(t, proxy.port, other.host);
  const tlsSocket = connectTls({ socket, servername: 'localhost', ca: other.caPem });
  await new Promise((resolve, reject) => tlsSocket.once('secureConnect', resolve).once('error', reject));
  tlsSocket.destroy();
});
