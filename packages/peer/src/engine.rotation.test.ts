import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { checkCsr, createSigningRequest, identityOfCertificate, SwarmCa } from '@sealift/pki';
import { nodeIdOf } from '@sealift/testkit';
import { TestCluster } from './cluster.fixture.ts';
import type { NodeCredentials } from './ports.ts';
import { RawPeer } from './raw-peer.fixture.ts';

/** Credentials of the next CA for a peer that trusts `trustAnchors`. */
async function issuedBy(
  ca: SwarmCa,
  { identity: { id, role }, cluster }: NodeCredentials,
  trustAnchors: string,
): Promise<NodeCredentials> {
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const { certificatePem } = await ca.issue({ role, id, ttlMs: 3_600_000 }, await checkCsr(csrPem));
  return {
    identity: identityOfCertificate(new X509Certificate(certificatePem)),
    tls: { trustAnchors, certificatePem, privateKeyPem },
    cluster: { ...cluster, trustAnchors },
  };
}

test('certificates of both CAs do during a rotation; when the old one is retired its connections end at once', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const seeder = await cluster.seeder(blob);
  const next = await SwarmCa.create({ clusterId: cluster.clusterId, generation: 2 });
  const both = cluster.ca.certificatePem + next.certificatePem;
  const alice = await cluster.credentials(nodeIdOf('alice'));
  const bob = await issuedBy(next, await cluster.credentials(nodeIdOf('bob')), both);
  const open = async (credentials: NodeCredentials): Promise<RawPeer> => {
    const peer = await RawPeer.dial(seeder.engine.port, { ...credentials.tls, trustAnchors: both });
    peer.greet(blob.swarmId, credentials.identity.id, await cluster.mint(blob, credentials));
    return peer;
  };

  seeder.adopt(await issuedBy(next, seeder.credentials, both));
  await seeder.grant(blob);
  const [old, renewed] = [await open(alice), await open(bob)];
  await Promise.all([old.opened(), renewed.opened()]);

  seeder.adopt(await issuedBy(next, seeder.credentials, next.certificatePem));
  await old.closed;
  assert.equal(renewed.socket.destroyed, false);
  await seeder.grant(blob);
  const again = await open(alice);
  await again.closed;
  assert.equal(again.receivedBytes, 0);
  const more = await open(bob);
  await more.opened();
  for (const peer of [renewed, more]) peer.socket.destroy();
});

test('a handshake that was begun before the old CA was retired, and ends after it, opens nothing', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const seeder = await cluster.seeder(blob);
  const next = await SwarmCa.create({ clusterId: cluster.clusterId, generation: 2 });
  const both = cluster.ca.certificatePem + next.certificatePem;
  seeder.adopt(await issuedBy(next, seeder.credentials, both));
  const alice = await cluster.credentials(nodeIdOf('alice'));
  const tcp = connect(seeder.engine.port, '127.0.0.1');
  await once(tcp, 'connect');
  // From then on TLS goes by what was trusted at this moment.
  while (seeder.engine.stats.strangers === 0) await setImmediate();

  seeder.adopt(await issuedBy(next, seeder.credentials, next.certificatePem));
  await seeder.grant(blob);
  const late = await RawPeer.dial(0, { ...alice.tls, trustAnchors: both }, { socket: tcp });
  assert.equal(late.socket.authorized, true);
  late.greet(blob.swarmId, alice.identity.id, await cluster.mint(blob, alice));
  await late.closed;
  assert.equal(late.receivedBytes, 0);
});
