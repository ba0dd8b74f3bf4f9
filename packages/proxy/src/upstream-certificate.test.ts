import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClientCertificate, createLoopbackCertificate, FakeRegistry } from '@sealift/testkit';
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

test('a new CA of the registry, which its runtime knows by now, is found by the first who meet it', async (t) => {
  const registry = new FakeRegistry();
  await registry.start();
  t.after(() => registry.stop());
  const digest = registry.addBlob('team/app', Buffer.from('a layer'));
  const path = `/v2/team/app/blobs/${digest}`;
  const { caPem: formerPem } = await createLoopbackCertificate();
  const former = { ...registry.config, caPem: formerPem };
  const given = [former, registry.config];
  let reads = 0;
  const reread = async () => {
    reads += 1;
    return given.shift();
  };
  const proxy = await startProxy(t, { registries: [former], reread });
  // At first the file is as it was.
  assert.equal((await askRegistry(t, proxy, registry.host, { path })).status, 502);
  const answers = await Promise.all([1, 2, 3].map(() => askRegistry(t, proxy, registry.host, { path })));
  assert.deepEqual(
    answers.map(({ body }) => body.toString()),
    ['a layer', 'a layer', 'a layer'],
  );
  assert.equal(reads, 2);
});
