import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { buildCsr, nodeIdOf } from '@sealift/testkit';
import { request } from 'undici';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { assertServes, mallory, setScene } from './mallory.ts';

const cluster = new TestTracker();
before(() => cluster.start());
after(() => cluster.stop());

const signal = (): AbortSignal => AbortSignal.timeout(10_000);
const refusedAs = (code: string) => (error: { code: string; details: { code?: string } }) => {
  assert.deepEqual([error.code, error.details.code], ['TRACKER_REFUSED', code]);
  return true;
};

test('T-18: a denied node is refused at every call, also on a connection that stands', async () => {
  const node = await cluster.enrol();
  const digest = cluster.registry.addBlob('team/app', Buffer.from('a layer'));
  const authorization = `Bearer ${await cluster.registry.tokens.issue({ repositories: ['team/app'] })}`;
  const body = {
    registry: cluster.registry.host,
    repository: 'team/app',
    digest,
    authorization,
    intent: 'check',
  } as const;
  const answer = await node.client.join(body, { signal: signal() });
  assert.ok(answer.verdict === 'granted');
  cluster.state.denyList.deny(node.nodeId, { reason: 'lost' });
  const refused = refusedAs('NODE_DENIED');
  await assert.rejects(node.client.join(body, { signal: signal() }), refused);
  await assert.rejects(node.client.renew({ csr: await buildCsr() }, { signal: signal() }), refused);
  await assert.rejects(node.client.refresh({ grants: [answer.grant] }, { signal: signal() }), refused);
  const report = { kind: 'corrupt-piece', swarmId: answer.swarmId, nodeId: nodeIdOf('node-1') } as const;
  await assert.rejects(node.client.report(report, { signal: signal() }), refused);
  const headers = { authorization: `Bearer ${answer.grant}` };
  const query = `info_hash=${answer.swarmId.replaceAll(/../g, '%$&')}&peer_id=${'x'.repeat(20)}&port=1&left=1`;
  const announce = await request(`${cluster.origin}/announce?${query}`, { dispatcher: node.agent, headers });
  assert.match(await announce.body.text(), /NODE_DENIED/);
});

test('T-18: peers that hear of a denial cut the running connection and take no new one', async (t) => {
  const scene = await setScene(t);
  const { cluster: peers, blob, seeder, mint, dial } = scene;
  const running = await dial();
  running.greet(blob.swarmId, mallory, await mint());
  await running.opened();
  peers.tracker.deny = { version: 1, nodeIds: [mallory], revocations: [] };
  // A new grant is announced, and the answer brings the list.
  await seeder.grant(blob);
  await running.closed;
  const again = await dial();
  again.greet(blob.swarmId, mallory, await mint());
  await again.closed;
  assert.equal(again.receivedBytes, 0);
  await assertServes(scene);
});
