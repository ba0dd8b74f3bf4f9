import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AnnounceClient } from '@sealift/bittorrent';
import { type Digest, parseSwarmId } from '@sealift/core';
import { request } from 'undici';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

const cluster = new TestTracker();
let digest: Digest;
let authorization: string;
before(async () => {
  await cluster.start();
  digest = cluster.registry.addBlob('team/app', Buffer.from('a layer'));
  authorization = `Bearer ${await cluster.registry.tokens.issue({ repositories: ['team/app'] })}`;
});
after(() => cluster.stop());

const signal = (): AbortSignal => AbortSignal.timeout(10_000);
async function joined(node: Awaited<ReturnType<typeof cluster.enrol>>) {
  const body = {
    registry: cluster.registry.host,
    repository: 'team/app',
    digest,
    authorization,
    intent: 'pull',
  } as const;
  const answer = await node.client.join(body, { signal: signal() });
  assert.ok(answer.verdict === 'granted');
  return answer;
}

test('T-17: neither peer id nor headers nor query make a node another one, or another’s address', async () => {
  const [liar, witness] = [await cluster.enrol(), await cluster.enrol()];
  const { grant, swarmId } = await joined(liar);
  const hash = swarmId.replaceAll(/../g, '%$&');
  const victim = encodeURIComponent(witness.peerId.toString('latin1'));
  const query = `info_hash=${hash}&peer_id=${victim}&port=7005&left=7&uploaded=0&downloaded=0`;
  const headers = {
    authorization: `Bearer ${grant}`,
    'x-forwarded-for': '198.51.100.9',
    'x-real-ip': '198.51.100.9',
    forwarded: 'for=198.51.100.9',
    'x-client-cert': 'none',
  };
  await (await request(`${cluster.origin}/announce?${query}`, { dispatcher: liar.agent, headers })).body.dump();
  const own = await joined(witness);
  const announcer = new AnnounceClient({ origin: cluster.origin, dispatcher: () => witness.agent });
  const announce = { swarmId: parseSwarmId(own.swarmId), grant: own.grant, left: 1, port: 1, denyVersion: 0 };
  const { peers } = await announcer.announce({ ...announce, uploaded: 0, downloaded: 0 }, { signal: signal() });
  const [entry] = peers.filter(({ port }) => port === 7005);
  assert.equal(entry?.host, '127.0.0.1');
  assert.deepEqual(entry?.peerId, liar.peerId, 'it is told by the name in its certificate');
});

test('T-17: a report names who it comes from, and denies nobody', async () => {
  const [liar, honest] = [await cluster.enrol(), await cluster.enrol()];
  const { swarmId } = await joined(liar);
  await liar.client.report({ kind: 'corrupt-piece', swarmId, nodeId: honest.nodeId }, { signal: signal() });
  await joined(honest);
  const lines = (await cluster.auditText())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const report = lines.find(({ event }) => event === 'peer_reported');
  assert.deepEqual([report?.['nodeId'], report?.['reportedId']], [liar.nodeId, honest.nodeId]);
});
