import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { nodeIdOf } from '@sealift/testkit';
import { request } from 'undici';
import { TestCluster } from '../../packages/peer/src/cluster.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { mallory, setScene } from './mallory.ts';

const tracker = new TestTracker();
before(() => tracker.start());
after(() => tracker.stop());

test('T-21: a grant is worth nothing to a peer for another holder, swarm, certificate or cluster, or after its end', async (t) => {
  const { cluster, blob, seeder, mint, dial } = await setScene(t);
  const alice = await cluster.credentials(nodeIdOf('alice'));
  const earlier = await cluster.credentials(mallory);
  const foreign = await TestCluster.create(t);
  const grants = {
    'of another node': await cluster.mint(blob, alice),
    'of another node with its own name': await cluster.mint(blob, alice, { nodeId: mallory }),
    'for an earlier certificate of its own': await cluster.mint(blob, earlier),
    'for another swarm': await mint({}, cluster.blob(3, { seed: 2 })),
    'of another cluster': await foreign.mint(blob, await cluster.attacker()),
    'after its end': await mint({ expiresAt: Date.now() - 5_000 }),
    'in the name of another cluster': await mint({ clusterId: 'other' as never }),
  };
  for (const [name, grant] of Object.entries(grants)) {
    await t.test(`a grant ${name} opens nothing`, async () => {
      const thief = await dial();
      thief.greet(blob.swarmId, mallory, grant);
      await thief.closed;
      assert.equal(thief.receivedBytes, 0);
    });
  }
  await t.test('its own does', async () => {
    const owner = await dial();
    owner.greet(blob.swarmId, mallory, await mint());
    await owner.opened();
    owner.socket.destroy();
  });
  assert.equal(seeder.engine.stats.bytesToPeers, 0);
});

test('T-21: the tracker takes a stolen grant neither for an announce nor in exchange for a new one', async () => {
  const digest = tracker.registry.addBlob('team/app', Buffer.from('a layer'));
  const authorization = `Bearer ${await tracker.registry.tokens.issue({ repositories: ['team/app'] })}`;
  const [owner, thief] = [await tracker.enrol(), await tracker.enrol()];
  const body = {
    registry: tracker.registry.host,
    repository: 'team/app',
    digest,
    authorization,
    intent: 'pull',
  } as const;
  const signal = AbortSignal.timeout(10_000);
  const answer = await owner.client.join(body, { signal });
  assert.ok(answer.verdict === 'granted');
  assert.deepEqual((await thief.client.refresh({ grants: [answer.grant] }, { signal })).grants, [{}]);
  assert.notDeepEqual((await owner.client.refresh({ grants: [answer.grant] }, { signal })).grants, [{}]);
  const query = `info_hash=${answer.swarmId.replaceAll(/../g, '%$&')}&peer_id=${'x'.repeat(20)}&port=1&left=1`;
  for (const [node, expected] of [
    [thief, /GRANT_REJECTED/],
    [owner, /interval/],
  ] as const) {
    const headers = { authorization: `Bearer ${answer.grant}` };
    const announce = await request(`${tracker.origin}/announce?${query}`, { dispatcher: node.agent, headers });
    assert.match(await announce.body.text(), expected);
  }
});
