import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { before, type TestContext, test } from 'node:test';
import type { TlsOptions } from 'node:tls';
import { parseClusterId } from '@sealift/core';
import { HostileCertificates, openTlsPair } from '@sealift/testkit';
import { identityOfSocket } from './identity.ts';
import { peerClientContext, peerConnectOptions, peerServerOptions } from './peer-tls.ts';
import { SwarmCa } from './swarm-ca.ts';
import type { TlsMaterial } from './tls-material.ts';

const clusterId = parseClusterId('alpha');
const peers = { clusterId, roles: ['node'] } as const;
const servername = 'peer.example';
let material: TlsMaterial;

before(async () => {
  material = await new HostileCertificates({ ca: await SwarmCa.create({ clusterId }) }).material('valid');
});

/** A client that wants to resume: it does not decline tickets as ours does, and asks under the same SNI. */
function eagerClient(session?: Buffer) {
  const { trustAnchors, certificatePem, privateKeyPem } = material;
  return {
    ca: trustAnchors,
    cert: certificatePem,
    key: privateKeyPem,
    servername,
    checkServerIdentity: () => undefined,
    ...(session === undefined ? {} : { session }),
  };
}

/** The session that a server offers an eager client to resume. In TLS 1.3 it comes after the handshake. */
async function sessionOf(t: TestContext, server: TlsOptions): Promise<Buffer> {
  const pair = await openTlsPair({ server, client: eagerClient() });
  t.after(pair.close);
  const [session] = (await once(pair.client, 'session')) as [Buffer];
  return session;
}

test('a peer port refuses to resume a session, even with a ticket under its own ticket key', async (t) => {
  const ticketKeys = randomBytes(48);
  const peerServer = { ...peerServerOptions(material), ticketKeys };
  const careless = { ...peerServer, secureOptions: 0 };
  const session = await sessionOf(t, careless);

  // The control: that session does resume where tickets are on, so a refusal below means something.
  const resumed = await openTlsPair({ server: careless, client: eagerClient(session) });
  t.after(resumed.close);
  assert.equal(resumed.server.isSessionReused(), true);
  assert.equal(resumed.server.authorized, true);
  assert.throws(() => identityOfSocket(resumed.server, peers), { code: 'CERTIFICATE_REJECTED' });
  assert.throws(() => identityOfSocket(resumed.client, peers), { code: 'CERTIFICATE_REJECTED' });

  const full = await openTlsPair({ server: peerServer, client: eagerClient(session) });
  t.after(full.close);
  assert.equal(full.server.isSessionReused(), false);
  assert.equal(identityOfSocket(full.server, peers).id, 'mallory');
});

test('a session with a peer port does not resume there, though the client tries', async (t) => {
  const server = peerServerOptions(material);
  const session = await sessionOf(t, server);
  const pair = await openTlsPair({ server, client: eagerClient(session) });
  t.after(pair.close);
  assert.equal(pair.server.isSessionReused(), false);
});

test('all dials of one certificate can share a context', async (t) => {
  const context = peerClientContext(material);
  for (let dial = 0; dial < 2; dial += 1) {
    const pair = await openTlsPair({ server: peerServerOptions(material), client: peerConnectOptions(context) });
    t.after(pair.close);
    assert.equal(identityOfSocket(pair.client, peers).role, 'node');
  }
});
