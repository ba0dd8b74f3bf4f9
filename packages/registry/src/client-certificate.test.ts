import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { parseRepository } from '@sealift/core';
import { createClientCertificate, createLoopbackCertificate, FakeRegistry } from '@sealift/testkit';
import { request } from 'undici';
import { RegistryClient } from './client.ts';
import { createAgent } from './connections.ts';
import { checkClientCertificate, createTrust } from './trust.ts';

async function startRegistry(t: TestContext, clientCaPem: string): Promise<FakeRegistry> {
  const registry = new FakeRegistry({ clientCaPem });
  await registry.start();
  t.after(() => registry.stop());
  return registry;
}

test('a registry that wants a client certificate is read with it, and not without or with another one', async (t) => {
  const [client, stranger] = await Promise.all([createClientCertificate(), createClientCertificate()]);
  const registry = await startRegistry(t, client.caPem);
  const digest = registry.addBlob('team/app', Buffer.from('a layer'));
  const blob = { registry: registry.host, repository: parseRepository('team/app'), digest };
  const signal = AbortSignal.timeout(10_000);
  const kinds: string[] = [];
  for (const shown of [client, stranger, undefined]) {
    const config = { ...registry.config, ...(shown === undefined ? {} : { client: shown }) };
    const by = new RegistryClient({ registries: [config] });
    t.after(() => by.close());
    assert.equal(by.showsCertificate(registry.host), shown !== undefined);
    kinds.push((await by.headBlob(blob, { authorization: undefined, signal })).kind);
  }
  assert.deepEqual(kinds, ['yes', 'unavailable', 'unavailable']);
});

test('a host that the registry redirects to sees no certificate of ours, though it asks for one', async (t) => {
  const [server, client] = await Promise.all([createLoopbackCertificate(), createClientCertificate()]);
  const start = async (): Promise<string> => {
    const tls = { cert: server.certificatePem, key: server.privateKeyPem, ca: client.caPem };
    const listener = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, ({ socket }, response) => {
      response.end((socket as TLSSocket).authorized ? 'shown' : 'none');
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    t.after(() => listener.close());
    return `https://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  };
  const [own, other] = [await start(), await start()];
  const dispatcher = createAgent({
    trust: createTrust(server.caPem),
    own: { origin: own, trust: createTrust(server.caPem, client) },
    connectTimeoutMs: 10_000,
    maxConnections: 2,
  });
  t.after(() => dispatcher.destroy());
  const seen = async (origin: string) => await (await request(`${origin}/`, { dispatcher })).body.text();
  assert.deepEqual([await seen(own), await seen(other)], ['shown', 'none']);
});

test('a pair that does not belong together, or is none, is refused without a word of the key', async () => {
  const [one, two] = await Promise.all([createClientCertificate(), createClientCertificate()]);
  checkClientCertificate(one);
  for (const client of [
    { ...one, privateKeyPem: two.privateKeyPem },
    { ...one, privateKeyPem: 'no key' },
    { ...one, certificatePem: 'no certificate' },
  ]) {
    const isClean = (error: Error): boolean => !/PRIVATE KEY|no key/.test(`${error.message} ${error.cause}`);
    assert.throws(() => checkClientCertificate(client), isClean);
    const registries = [{ registry: 'registry.example' as never, client }];
    assert.throws(() => new RegistryClient({ registries }), { code: 'CONFIG_INVALID' });
  }
});
