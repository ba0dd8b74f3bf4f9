import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createSigningRequest } from '@sealift/pki';
import { buildCsr } from '@sealift/testkit';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

const cluster = new TestTracker();
before(() => cluster.start());
after(() => cluster.stop());

const signal = (): AbortSignal => AbortSignal.timeout(10_000);
const refusedAs = (code: string) => (error: { code: string; details: { code?: string } }) => {
  assert.deepEqual([error.code, error.details.code], ['TRACKER_REFUSED', code]);
  return true;
};

async function stolen() {
  const { token } = cluster.state.joinTokens.create({ isReusable: false, ttlMs: 60_000 });
  const { privateKeyPem, csrPem } = await createSigningRequest();
  const answer = await cluster.client(cluster.agent()).enrol({ csr: csrPem, joinToken: token }, { signal: signal() });
  return { victim: cluster.node(answer, privateKeyPem), thief: cluster.node(answer, privateKeyPem) };
}

test('T-20: with the key of a node a thief is that node, which is no right to any blob', async () => {
  const { thief } = await stolen();
  const digest = cluster.registry.addBlob('team/app', Buffer.from('a layer'));
  const body = { registry: cluster.registry.host, repository: 'team/app', digest, intent: 'pull' } as const;
  assert.equal((await thief.client.join(body, { signal: signal() })).verdict, 'denied');
  const forged = {
    ...body,
    authorization: `Bearer ${await cluster.registry.tokens.issue({ repositories: ['team/b'] })}`,
  };
  assert.equal((await thief.client.join(forged, { signal: signal() })).verdict, 'denied');
});

test('T-20: it ends with the certificate, and denying the node ends it at once for whoever holds the key', async () => {
  const { thief } = await stolen();
  cluster.clock.offsetMs = 3_600_001;
  await assert.rejects(thief.client.renew({ csr: await buildCsr() }, { signal: signal() }), refusedAs('CERT_REQUIRED'));
  cluster.clock.offsetMs = 0;
  await thief.client.renew({ csr: await buildCsr() }, { signal: signal() });
  cluster.state.denyList.deny(thief.nodeId);
  await assert.rejects(thief.client.renew({ csr: await buildCsr() }, { signal: signal() }), refusedAs('NODE_DENIED'));
});
