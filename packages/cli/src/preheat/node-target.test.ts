import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import { NodeTarget } from './node-target.ts';

const ref = {
  registry: parseRegistryHost('registry.example'),
  repository: parseRepository('team/app'),
  digest: parseDigest(`sha256:${'a'.repeat(64)}`),
};

test('a node whose answer breaks off, is too long or does not match has not got the image, and it is no bug of ours', async (t) => {
  let answer: (response: ServerResponse) => void = () => {};
  const server = createServer((_request, response) => answer(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const proxy = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  const target = new NodeTarget({ proxy, authorization: async () => undefined });
  const signal = AbortSignal.timeout(20_000);
  const blob = () => target.blob(ref, { digest: ref.digest, size: 9 }, { signal, onProgress: () => {} });
  answer = (response) => response.writeHead(200, { 'content-length': '9' }).write('half', () => response.destroy());
  await assert.rejects(target.manifest(ref, { signal }), { code: 'PREHEAT_INCOMPLETE', message: /broke off/ });
  await assert.rejects(blob(), { code: 'PREHEAT_INCOMPLETE', message: /broke off/ });
  answer = (response) => response.end('something else');
  await assert.rejects(blob(), { code: 'PREHEAT_INCOMPLETE', message: /does not match/ });
  answer = (response) => response.end(Buffer.alloc(4 * 1024 * 1024 + 1));
  await assert.rejects(target.manifest(ref, { signal }), { code: 'REGISTRY_UNAVAILABLE', message: /too long/ });
  answer = (response) => response.writeHead(403).end();
  await assert.rejects(blob(), { code: 'REGISTRY_REFUSED' });
});

test('a node is named by its address, an IPv6 one in brackets', () => {
  const target = new NodeTarget({ proxy: { host: '::1', port: 3128 }, authorization: async () => undefined });
  assert.equal(target.name, '[::1]:3128');
});
