import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeRegistry } from '@sealift/testkit';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

test('T-24: a gateway’s redirect to a login is no right; the registry’s redirect to the bytes is one', async (t) => {
  const cluster = new TestTracker({}, new FakeRegistry());
  await cluster.start();
  t.after(() => cluster.stop());
  const { registry } = cluster;
  const node = await cluster.enrol();
  const login = registry.addBlob('team/app', Buffer.from('<html>please log in</html>'));
  const joins = async (digest: string) => {
    const body = { registry: registry.host, repository: 'team/app', digest, intent: 'pull' } as const;
    return (await node.client.join(body, { signal: AbortSignal.timeout(10_000) })).verdict;
  };
  const locations = [`https://${registry.cdnHost}/${login}`, `/v2/team/app/blobs/${login}`];
  for (const [index, location] of locations.entries()) {
    const digest = registry.addBlob('team/app', Buffer.from(`layer ${index}`));
    registry.fail(digest, { kind: 'status', status: 302, headers: { location } }, { times: 10 });
    // A page of some gateway, which knows nothing of digests.
    const headers = { 'content-type': 'text/html', 'docker-content-digest': undefined };
    for (const at of ['registry', 'cdn'] as const)
      registry.fail(login, { kind: 'headers', headers }, { at, times: 10 });
    assert.equal(await joins(digest), 'unavailable');
  }
  assert.deepEqual(cluster.seeder.asked, []);
  registry.isRedirecting = true;
  assert.equal(await joins(registry.addBlob('team/app', Buffer.from('a layer at the CDN'))), 'granted');
});
