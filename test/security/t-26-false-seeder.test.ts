import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createContentSigner, signHashBatch } from '@sealift/bittorrent';
import { identityOfCertificate } from '@sealift/pki';
import { HostileCertificates, nodeIdOf } from '@sealift/testkit';
import { hashOf, TestCluster } from '../../packages/peer/src/cluster.fixture.ts';
import { RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

test('T-26: a seeder’s certificate is not the content key: whoever holds it cannot sign a piece', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const leecher = await cluster.peer('leecher');
  await leecher.grant(blob);
  const swarm = await leecher.engine.download({ ...blob.request, batches: [] });
  const release = swarm.acquire();
  const material = await new HostileCertificates({ ca: cluster.ca }).material('valid', { role: 'seeder' });
  const identity = identityOfCertificate(new X509Certificate(material.certificatePem));
  const own = createContentSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  const { swarmId, digest, geometry } = blob;
  const batch = signHashBatch(
    {
      swarmId,
      digest,
      size: geometry.size,
      pieceLength: geometry.pieceLength,
      startedAt: Date.now(),
      firstIndex: 0,
      hashes: Buffer.concat([0, 1, 2, 3].map((index) => hashOf(blob, index))),
      isComplete: true,
      isWithdrawn: false,
    },
    own,
  );
  const seeder = await RawPeer.dial(leecher.engine.port, material);
  seeder.greet(swarmId, identity.id, await cluster.mint(blob, { identity }));
  await seeder.opened();
  seeder.send({ type: 'have-all' }, { type: 'extended', id: 1, payload: batch });
  await seeder.closed;
  assert.equal(swarm.hashes.list.knownCount, 0);
  await cluster.seeder(blob);
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  release();
});

test('T-26: no call of the tracker gives a certificate of another role, nor takes one for a node’s', async (t) => {
  const tracker = new TestTracker();
  await tracker.start();
  t.after(() => tracker.stop());
  const node = await tracker.enrol('seeder');
  assert.match(node.nodeId, /^node-/);
  const cast = new HostileCertificates({ ca: tracker.state.ca });
  for (const role of ['seeder', 'tracker'] as const) {
    const client = tracker.client(tracker.agent(await cast.material('valid', { role, id: nodeIdOf('x') })));
    await assert.rejects(client.refresh({ grants: ['a.b.c'] }, { signal: AbortSignal.timeout(10_000) }), {
      code: 'TRACKER_REFUSED',
    });
  }
});
