import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClusterId, swarmIdOf } from '@sealift/core';
import { createSigningRequest } from '@sealift/pki';
import { TestCluster } from '../../packages/peer/src/cluster.fixture.ts';
import { RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { mallory, setScene } from './mallory.ts';

test('T-27: a node of another cluster, even one of the same name, gets nothing from our peers', async (t) => {
  const { cluster, blob, seeder, mint } = await setScene(t);
  const other = await TestCluster.create(t);
  const { tls, identity } = await other.attacker();
  const grants = [await other.mint(blob, { identity }), await mint({ x5tS256: identity.x5tS256 })];
  for (const grant of grants) {
    const peer = await RawPeer.dial(seeder.engine.port, { ...tls, trustAnchors: cluster.ca.certificatePem });
    peer.greet(blob.swarmId, mallory, grant);
    await peer.closed;
    assert.equal(peer.receivedBytes, 0);
  }
  const ids = ['one', 'two'].map((id) => swarmIdOf(parseClusterId(id), blob.request.blob.registry, blob.digest));
  assert.notEqual(ids[0], ids[1]);
});

test('T-27: the tracker of one cluster takes no certificate, token or grant of another', async (t) => {
  const [ours, theirs] = [new TestTracker(), new TestTracker()];
  await Promise.all([ours.start(), theirs.start()]);
  t.after(() => Promise.all([ours.stop(), theirs.stop()]));
  const signal = AbortSignal.timeout(10_000);
  const { token } = theirs.state.joinTokens.create({ isReusable: true, ttlMs: 60_000 });
  const { csrPem, privateKeyPem } = await createSigningRequest();
  const code = (expected: string) => (error: { details: { code?: string } }) => error.details.code === expected;
  await assert.rejects(
    ours.client(ours.agent()).enrol({ csr: csrPem, joinToken: token }, { signal }),
    code('JOIN_TOKEN_REJECTED'),
  );
  const answer = await theirs.client(theirs.agent()).enrol({ csr: csrPem, joinToken: token }, { signal });
  const intruder = ours.node(answer, privateKeyPem);
  await assert.rejects(intruder.client.renew({ csr: csrPem }, { signal }), code('CERT_REQUIRED'));
  const digest = theirs.registry.addBlob('team/app', Buffer.from('a layer'));
  const authorization = `Bearer ${await theirs.registry.tokens.issue({ repositories: ['team/app'] })}`;
  const body = {
    registry: theirs.registry.host,
    repository: 'team/app',
    digest,
    authorization,
    intent: 'check',
  } as const;
  const joined = await theirs.node(answer, privateKeyPem).client.join(body, { signal });
  assert.ok(joined.verdict === 'granted');
  const node = await ours.enrol();
  assert.deepEqual((await node.client.refresh({ grants: [joined.grant] }, { signal })).grants, [{}]);
});
