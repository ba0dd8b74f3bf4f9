import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClientCertificate, FakeRegistry } from '@sealift/testkit';
import { askRegistry, startProxy } from './proxy.fixture.ts';

test('a registry that wants a client certificate sees that of its configuration, on what passes through', async (t) => {
  const client = await createClientCertificate();
  const registry = new FakeRegistry({ clientCaPem: client.caPem });
  await registry.start();
  t.after(() => registry.stop());
  const digest = registry.addBlob('team/app', Buffer.from('a layer'));
  const path = `/v2/team/app/blobs/${digest}`;
  const shown = await startProxy(t, { registries: [{ ...registry.config, client }] });
  assert.equal((await askRegistry(t, shown, registry.host, { path })).body.toString(), 'a layer');
  const bare = await startProxy(t, { registries: [registry.config] });
  assert.equal((await askRegistry(t, bare, registry.host, { path })).status, 502);
});
