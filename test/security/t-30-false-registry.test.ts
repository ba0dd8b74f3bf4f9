import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost, parseRepository } from '@sealift/core';
import { RegistryClient } from '@sealift/registry';
import { createLoopbackCertificate, FakeRegistry } from '@sealift/testkit';
import { askRegistry, startProxy } from '../../packages/proxy/src/proxy.fixture.ts';

const repository = parseRepository('team/app');
const authorization = 'Bearer czNjcjN0LXZhbHVl';

test('T-30: a server in the registry’s place sees no credential, from the tracker’s client or from the proxy', async (t) => {
  const { caPem } = await createLoopbackCertificate();
  const impostors = {
    'without a certificate that we trust': { registry: new FakeRegistry(), ca: {} },
    'with a certificate of another CA': { registry: new FakeRegistry(), ca: { caPem } },
    'with a certificate for another name': {
      registry: new FakeRegistry({ certifiedFor: { dnsNames: ['elsewhere.example'], ipAddresses: [] } }),
      ca: undefined,
    },
  };
  for (const [name, { registry, ca }] of Object.entries(impostors)) {
    await t.test(`one ${name}`, async (t) => {
      await registry.start();
      t.after(() => registry.stop());
      const digest = registry.addBlob(repository, Buffer.from('a layer'));
      const config = { registry: registry.host, ...(ca ?? { caPem: registry.caPem }) };
      const client = new RegistryClient({ registries: [config] });
      t.after(() => client.close());
      const signal = AbortSignal.timeout(10_000);
      const blob = { registry: parseRegistryHost(registry.host), repository, digest };
      assert.equal((await client.headBlob(blob, { authorization, signal })).kind, 'unavailable');
      await assert.rejects(client.openBlob(blob, { authorization, signal }), { code: 'REGISTRY_UNAVAILABLE' });
      const proxy = await startProxy(t, { registries: [config] });
      const path = `/v2/${repository}/blobs/${digest}`;
      const answer = await askRegistry(t, proxy, registry.host, { path, headers: { authorization } });
      assert.equal(answer.status, 502);
      assert.deepEqual(registry.requests, []);
    });
  }
});
