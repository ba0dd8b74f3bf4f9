import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askRegistry, startProxy } from '../../packages/proxy/src/proxy.fixture.ts';
import { repository, WiredCluster } from '../conformance/wired-node.ts';

const SIZE = 1_300_000;

test('T-09: what one user has pulled, another user of the node gets only by a right of their own', async (t) => {
  const cluster = await WiredCluster.start();
  t.after(() => cluster.stop());
  const { source, store } = await cluster.wholeNode();
  const { registry } = cluster;
  const proxy = await startProxy(t, { registries: [registry.config], blobs: source });
  const blob = cluster.addBlob(SIZE);
  const [alice, bob] = await Promise.all([cluster.authorization(repository), cluster.authorization('other/app')]);
  const ask = (authorization: string | undefined, range?: string) =>
    askRegistry(t, proxy, registry.host, {
      path: `/v2/${repository}/blobs/${blob.digest}`,
      headers: { ...(authorization === undefined ? {} : { authorization }), ...(range === undefined ? {} : { range }) },
    });
  const first = await ask(alice);
  assert.deepEqual([first.status, first.body.length], [200, SIZE]);
  assert.equal(store.list().filter(({ isComplete }) => isComplete).length, 1, 'it is in the cache of the node');
  await t.test('others get the registry’s own refusal, and not a byte', async () => {
    for (const authorization of [bob, undefined, 'Bearer forged', 'Basic bm9ib2R5Om5vdGhpbmc=']) {
      for (const range of [undefined, 'bytes=0-0']) {
        const answer = await ask(authorization, range);
        assert.equal(answer.status, 401);
        assert.match(String(answer.headers['www-authenticate']), /^Bearer realm=/);
        assert.ok(answer.body.length < 200);
      }
    }
  });
  await t.test('with the tracker gone the registry decides on each request, and nobody else', async () => {
    await cluster.tracker.stop();
    assert.equal((await ask(bob)).status, 401);
    const before = registry.counts(blob.digest).gets;
    assert.equal((await ask(alice)).status, 200);
    assert.ok(registry.counts(blob.digest).gets > before);
  });
});
