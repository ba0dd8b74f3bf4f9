import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Digest, parseRegistryHost, swarmIdOf } from '@sealift/core';
import { RegistryClient } from '@sealift/registry';
import { FakeRegistry } from '@sealift/testkit';
import { TestCluster } from '../../packages/peer/src/cluster.fixture.ts';
import { RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { mallory } from './mallory.ts';

test('T-22: a registry that says yes to everything opens nothing of another one', async (t) => {
  const home = new FakeRegistry({ auth: 'bearer' });
  const evil = new FakeRegistry();
  await Promise.all([home.start(), evil.start()]);
  t.after(() => Promise.all([home.stop(), evil.stop()]));
  const bytes = Buffer.from('the layer of somebody else');
  const digest = home.addBlob('team/app', bytes);
  // The attacker's own registry has read of the digest, and answers for it.
  evil.addBlob('team/app', bytes);
  const client = new RegistryClient({ registries: [home.config, evil.config] });
  t.after(() => client.close());
  const verdicts = new Map<string, string>();
  for (const registry of [evil.host, home.host]) {
    const verdict = await client.headBlob(
      { registry, repository: 'team/app' as never, digest },
      { authorization: undefined, signal: AbortSignal.timeout(10_000) },
    );
    verdicts.set(registry, verdict.kind);
  }
  assert.deepEqual([...verdicts.values()], ['yes', 'no']);
  const cluster = await TestCluster.create(t);
  assert.notEqual(swarmIdOf(cluster.clusterId, evil.host, digest), swarmIdOf(cluster.clusterId, home.host, digest));
});

test('T-22: a grant by way of the other registry is none for the swarm of this one', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(3);
  const seeder = await cluster.seeder(blob);
  const attacker = await cluster.attacker();
  const evil = parseRegistryHost('evil.example');
  const swarmId = swarmIdOf(cluster.clusterId, evil, blob.digest as Digest);
  const grants = [
    await cluster.mint(blob, attacker, { registry: evil, swarmId }),
    // The tracker never mints it; a peer would not believe it either.
    await cluster.mint(blob, attacker, { registry: evil }),
  ];
  for (const [index, grant] of grants.entries()) {
    for (const claimed of [blob.swarmId, swarmId]) {
      const peer = await RawPeer.dial(seeder.engine.port, attacker.tls);
      peer.greet(claimed, mallory, grant);
      await peer.closed;
      assert.equal(peer.receivedBytes, 0, `grant ${index}`);
    }
  }
});

test('T-22: a registry that nobody configured is refused before a connection, also by an address inside', async (t) => {
  const tracker = new TestTracker();
  await tracker.start();
  t.after(() => tracker.stop());
  const node = await tracker.enrol();
  const digest = `sha256:${'0'.repeat(64)}`;
  for (const registry of ['evil.example', '127.0.0.1:1', '169.254.169.254', '[::1]:1', `${tracker.registry.host}0`]) {
    const body = { registry, repository: 'team/app', digest, intent: 'pull' } as const;
    await assert.rejects(node.client.join(body, { signal: AbortSignal.timeout(10_000) }), { code: 'TRACKER_REFUSED' });
  }
  assert.deepEqual(tracker.registry.requests, []);
});
