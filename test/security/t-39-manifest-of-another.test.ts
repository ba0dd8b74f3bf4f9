import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { silentLogger, systemClock } from '@sealift/core';
import { ClusterManifests, TrackerPause } from '@sealift/peer';
import { askRegistry, startProxy } from '../../packages/proxy/src/proxy.fixture.ts';
import { repository, WiredCluster, type WiredNode } from '../conformance/wired-node.ts';

const TYPE = 'application/vnd.oci.image.manifest.v1+json';
const MANIFEST = Buffer.from('{"schemaVersion":2,"layers":[]}');

/** A cluster that has read a manifest for alice, and a node with a proxy where others ask. */
async function setScene(t: TestContext) {
  const cluster = await WiredCluster.start();
  t.after(() => cluster.stop());
  const { registry } = cluster;
  const digest = registry.addManifest(repository, '1', MANIFEST, TYPE);
  const clock = systemClock;
  const log = silentLogger;
  const manifestsOf = ({ identity }: WiredNode) =>
    new ClusterManifests({ identity, pause: new TrackerPause({ clock }), clock, log });
  const node = await cluster.wholeNode();
  const proxy = await startProxy(t, {
    registries: [registry.config],
    manifests: manifestsOf(node),
    blobs: node.source,
  });
  const ask = (authorization: string | undefined, { reference = digest as string, of = repository as string } = {}) =>
    askRegistry(t, proxy, registry.host, {
      path: `/v2/${of}/manifests/${reference}`,
      headers: { accept: TYPE, ...(authorization === undefined ? {} : { authorization }) },
    });
  const alice = await cluster.authorization(repository);
  return { cluster, registry, node, digest, ask, alice };
}

test('T-39: who may not pull gets the registry’s own refusal of a manifest that the cluster has', async (t) => {
  const { cluster, registry, digest, ask, alice } = await setScene(t);
  assert.deepEqual((await ask(alice)).body, MANIFEST);
  const { gets } = registry.counts(digest);
  assert.deepEqual((await ask(alice)).body, MANIFEST);
  assert.equal(registry.counts(digest).gets, gets, 'it came from the cluster');
  const bob = await cluster.authorization('other/app');
  for (const authorization of [bob, undefined, 'Bearer forged', 'Basic bm9ib2R5Om5vdGhpbmc=']) {
    for (const reference of [digest, '1']) {
      const answer = await ask(authorization, { reference });
      assert.equal(answer.status, 401);
      assert.match(answer.headers['www-authenticate'] ?? '', /realm=/);
      assert.ok(!answer.body.includes('schemaVersion'));
    }
  }
  // The digest under a repository of one's own opens nothing.
  assert.equal((await ask(bob, { of: 'other/app' })).status, 404);
});

test('T-39: neither a grant nor the right to a blob with that digest opens a manifest', async (t) => {
  const { registry, node, digest, ask, alice } = await setScene(t);
  await ask(alice);
  const blob = registry.addBlob(repository, Buffer.from('a layer'));
  const signal = AbortSignal.timeout(10_000);
  const join = { registry: registry.host, repository, digest: blob, authorization: alice, intent: 'check' } as const;
  const granted = await node.identity.client.join(join, { signal });
  assert.ok(granted.verdict === 'granted');
  for (const authorization of [granted.grant, `Bearer ${granted.grant}`]) {
    const body = { registry: registry.host, repository, digest, authorization };
    assert.notEqual((await node.identity.client.manifest(body, { signal })).verdict, 'granted');
  }
});

test('T-39: a revoked right and a denied node get nothing from the cluster any more', async (t) => {
  const { cluster, registry, node, digest, ask } = await setScene(t);
  const token = await registry.tokens.issue({ repositories: [repository], form: 'opaque' });
  assert.deepEqual((await ask(`Bearer ${token}`)).body, MANIFEST);
  registry.tokens.revoke(token);
  cluster.state.revocations.revoke({ registry: registry.host, repository });
  assert.equal((await ask(`Bearer ${token}`)).status, 401);
  const alice = await cluster.authorization(repository);
  cluster.state.denyList.deny(node.identity.credentials?.identity.id ?? assert.fail());
  const { gets } = registry.counts(digest);
  assert.deepEqual((await ask(alice)).body, MANIFEST, 'the pull goes on');
  assert.equal(registry.counts(digest).gets, gets + 1, 'from the registry');
});

test('T-39: a manifest that does not match its digest is not kept, and reaches nobody through the cluster', async (t) => {
  const { registry, digest, ask, alice } = await setScene(t);
  registry.fail(digest, { kind: 'wrong-bytes' }, { method: 'GET' });
  // The tracker reads it wrong and gives nothing; the registry itself answers.
  assert.deepEqual((await ask(alice)).body, MANIFEST);
  assert.equal(registry.counts(digest).gets, 2);
  assert.deepEqual((await ask(alice)).body, MANIFEST);
  assert.deepEqual((await ask(alice)).body, MANIFEST);
  assert.equal(registry.counts(digest).gets, 3, 'the true one is kept');
});

test('T-39: a tag that has moved is never answered with what it stood for before', async (t) => {
  const { registry, ask, alice } = await setScene(t);
  assert.deepEqual((await ask(alice, { reference: '1' })).body, MANIFEST);
  const newer = Buffer.from('{"schemaVersion":2,"layers":[],"newer":true}');
  registry.addManifest(repository, '1', newer, TYPE);
  assert.deepEqual((await ask(alice, { reference: '1' })).body, newer);
});
