import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, test } from 'node:test';
import { isAppError, parseClusterId } from '@sealift/core';
import { FakeClock, HOSTILE_KINDS, HostileCertificates, nodeIdOf, openTlsPair } from '@sealift/testkit';
import { identityOfCertificate, identityOfSocket } from './identity.ts';
import { peerClientContext, peerConnectOptions, peerServerOptions } from './peer-tls.ts';
import { SwarmCa } from './swarm-ca.ts';
import type { TlsMaterial } from './tls-material.ts';

const clusterId = parseClusterId('alpha');
const peers = { clusterId, roles: ['node', 'seeder'] } as const;
let cast: HostileCertificates;
let alice: TlsMaterial;

before(async () => {
  cast = new HostileCertificates({ ca: await SwarmCa.create({ clusterId }) });
  alice = await cast.material('valid', { id: nodeIdOf('alice') });
});

function connectPeers(server: TlsMaterial, client: TlsMaterial) {
  return openTlsPair({ server: peerServerOptions(server), client: peerConnectOptions(peerClientContext(client)) });
}

test('two peers of one cluster learn who the other is', async (t) => {
  const seeder = await cast.material('valid', { role: 'seeder', id: nodeIdOf('seeder-1') });
  const pair = await connectPeers(seeder, alice);
  t.after(pair.close);
  assert.equal(pair.client.getProtocol(), 'TLSv1.3');
  assert.equal(identityOfSocket(pair.server, peers).id, 'alice');
  const identity = identityOfSocket(pair.client, peers);
  assert.deepEqual([identity.clusterId, identity.role, identity.id], ['alpha', 'seeder', 'seeder-1']);
});

// Refused by TLS or, where TLS is content, by us. Which of the two is OpenSSL's business; that one of them does is ours.
for (const kind of HOSTILE_KINDS) {
  for (const end of ['client', 'server'] as const) {
    test(`a peer with a certificate of the kind "${kind}" is refused as a ${end}`, async (t) => {
      const hostile = await cast.material(kind);
      const refusal = await assertRefused(async () => {
        const pair = await (end === 'client' ? connectPeers(alice, hostile) : connectPeers(hostile, alice));
        t.after(pair.close);
        // The end that faces the hostile one judges it.
        identityOfSocket(end === 'client' ? pair.server : pair.client, peers);
      });
      t.diagnostic(refusal);
    });
  }
}

async function assertRefused(act: () => Promise<void>): Promise<string> {
  try {
    await act();
  } catch (error) {
    if (isAppError(error, 'CERTIFICATE_REJECTED')) return `by us: ${error.message}`;
    // Anything but a failure of TLS is a fault of this test.
    const code = String((error as NodeJS.ErrnoException).code);
    assert.match(code, /^(?:ERR_SSL_|CERT_|UNABLE_TO_|INVALID_PURPOSE|PERMITTED_VIOLATION|UNSPECIFIED|ECONNRESET)/);
    return `by TLS: ${code}`;
  }
  return assert.fail('the peer was admitted');
}

test('a URI of another cluster is stopped by the name constraint of the CA, before we look', async () => {
  const hostile = await cast.material('other-cluster');
  await assert.rejects(connectPeers(hostile, alice), { message: 'permitted subtree violation' });
});

test('a socket says the same however often it is asked, at both ends', async (t) => {
  const pair = await connectPeers(alice, alice);
  t.after(pair.close);
  for (const socket of [pair.client, pair.server]) {
    assert.deepEqual(identityOfSocket(socket, peers), identityOfSocket(socket, peers));
  }
});

test('a peer without a certificate is refused', async () => {
  const { trustAnchors } = alice;
  await assert.rejects(
    openTlsPair({
      server: peerServerOptions(alice),
      client: { ca: trustAnchors, checkServerIdentity: () => undefined },
    }),
    { code: 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' },
  );
});

test('a peer that speaks nothing newer than TLS 1.2 is refused', async () => {
  const { trustAnchors, certificatePem, privateKeyPem } = alice;
  const credentials = { ca: trustAnchors, cert: certificatePem, key: privateKeyPem };
  await assert.rejects(
    openTlsPair({
      server: peerServerOptions(alice),
      client: { ...credentials, maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined },
    }),
    { code: /^ERR_SSL_/ },
  );
});

test('a socket is held against cluster, role and time', async (t) => {
  const pair = await connectPeers(alice, alice);
  t.after(pair.close);
  const end = identityOfSocket(pair.client, peers).notAfter;
  const expectations = [
    { ...peers, clusterId: parseClusterId('beta') },
    { ...peers, roles: ['seeder', 'tracker'] },
    { ...peers, roles: [] },
    { ...peers, clock: new FakeClock(end) },
    { ...peers, clock: new FakeClock(end - 86_400_000) },
  ] as const;
  for (const expected of expectations) {
    assert.throws(() => identityOfSocket(pair.client, expected), { code: 'CERTIFICATE_REJECTED' });
  }
  identityOfSocket(pair.client, { ...peers, clock: new FakeClock(end - 1) });
});

test('a socket whose client certificate did not verify has no identity, even where the server lets it in', async (t) => {
  const lenient = { ...peerServerOptions(alice), rejectUnauthorized: false };
  for (const kind of ['other-ca', 'expired'] as const) {
    const client = peerConnectOptions(peerClientContext(await cast.material(kind)));
    const pair = await openTlsPair({ server: lenient, client });
    t.after(pair.close);
    assert.throws(() => identityOfSocket(pair.server, peers), { code: 'CERTIFICATE_REJECTED' });
  }
});

test('only a certificate with exactly one identity URI has an identity', async () => {
  for (const kind of ['no-uri', 'two-uris', 'dns-only', 'wrong-san'] as const) {
    const { certificatePem } = await cast.material(kind);
    assert.throws(() => identityOfCertificate(new X509Certificate(certificatePem)), { code: 'CERTIFICATE_REJECTED' });
  }
});
