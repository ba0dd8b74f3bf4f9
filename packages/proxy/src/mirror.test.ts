import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { parseRepository } from '@sealift/core';
import { FakeRegistry, type FakeRegistryOptions } from '@sealift/testkit';
import { type AskOptions, ask, dial, startPlainServer, startProxy } from './proxy.fixture.ts';

const repository = parseRepository('lib/app');
const BLOB = randomBytes(200_000);

async function setUp(t: TestContext, options: FakeRegistryOptions = {}) {
  const registry = new FakeRegistry(options);
  await registry.start();
  t.after(() => registry.stop());
  const proxy = await startProxy(t, { registries: [registry.config] });
  const ns = `ns=${encodeURIComponent(registry.host)}`;
  const say = async ({ headers = {}, ...rest }: AskOptions) =>
    await ask(await dial(t, proxy.port), { headers: { Host: `127.0.0.1:${proxy.port}`, ...headers }, ...rest });
  return { registry, proxy, ns, say };
}

test('the mirror gives a blob of the source', async (t) => {
  const { registry, proxy, ns, say } = await setUp(t);
  const digest = proxy.blobs.add({ registry: registry.host, repository }, BLOB, { authorization: 'Bearer x' });
  const path = `/v2/${repository}/blobs/${digest}?${ns}`;
  assert.ok((await say({ path, headers: { Authorization: 'Bearer x' } })).body.equals(BLOB));
  assert.equal((await say({ path })).status, 404);
});

test('the mirror relays the challenge, and passes the token on without its own name', async (t) => {
  const { registry, ns, say } = await setUp(t, { auth: 'bearer' });
  registry.addManifest(repository, '1', { a: 1 });
  const path = `/v2/${repository}/manifests/1?${ns}`;
  const { status, headers } = await say({ path });
  assert.equal(status, 401);
  assert.match(headers['www-authenticate'] ?? '', new RegExp(`^Bearer realm="${registry.realm}"`));
  const Authorization = `Bearer ${await registry.tokens.issue({ repositories: [repository] })}`;
  assert.equal((await say({ path, headers: { Authorization } })).body.toString(), '{"a":1}');
  const last = registry.requests.at(-1);
  assert.deepEqual([last?.path, last?.headers.host], [`/v2/${repository}/manifests/1`, registry.host]);
});

for (const query of ['ns=other.example', 'ns=..%2F..%2Fx', 'ns=%zz', '', 'ns=a.example&ns=b.example', 'ns=']) {
  test(`the mirror knows no registry for "${query}", which sends containerd on to the next host`, async (t) => {
    const { registry, say } = await setUp(t);
    const { status, body } = await say({ path: `/v2/lib/app/manifests/1?${query}` });
    assert.equal(status, 404);
    assert.match(body.toString(), /NOT_FOUND/);
    assert.equal(registry.requests.length, 0);
  });
}

test('a page in a browser cannot reach the mirror by a name of its own', async (t) => {
  const { registry, proxy, ns, say } = await setUp(t);
  for (const Host of ['evil.example', `evil.example:${proxy.port}`, '10.0.0.1', '127.0.0.1.evil.example']) {
    assert.equal((await say({ path: `/v2/?${ns}`, headers: { Host } })).status, 421);
  }
  for (const Host of ['localhost', `LOCALHOST:${proxy.port}`, '127.0.0.5:1', '[::1]:1']) {
    assert.equal((await say({ path: `/v2/?${ns}`, headers: { Host } })).status, 200);
  }
  assert.equal(registry.requests.length, 4);
});

test('the proxy says that it lives, and what it is for', async (t) => {
  const { say } = await setUp(t);
  assert.equal((await say({ path: '/healthz' })).body.toString(), 'ok\n');
  const { status, body } = await say({ path: '/' });
  assert.equal(status, 404);
  assert.match(body.toString(), /HTTPS_PROXY/);
});

test('a plain request in absolute form is forwarded, body and answer', async (t) => {
  let host: string | undefined;
  const port = await startPlainServer(t, (request, response) => {
    host = request.headers.host;
    response.writeHead(201, { 'x-path': request.url ?? '' });
    request.pipe(response);
  });
  const { say } = await setUp(t);
  const path = `http://localhost:${port}/a?b=c`;
  const answer = await say({ method: 'POST', path, headers: { Host: 'other', 'Content-Length': '3' }, body: 'abc' });
  assert.deepEqual([answer.status, answer.headers['x-path'], answer.body.toString()], [201, '/a?b=c', 'abc']);
  assert.equal(host, `localhost:${port}`);
});

test('a plain request to nowhere is a 502, one with credentials in its address or over https is refused', async (t) => {
  const { proxy, say } = await setUp(t);
  const port = await startPlainServer(t, () => {});
  assert.equal((await say({ path: 'http://localhost:1/' })).status, 502);
  assert.equal((await say({ path: `http://user:pass@localhost:${port}/` })).status, 400);
  assert.equal((await say({ path: `https://localhost:${port}/` })).status, 400);
  const looped = await say({ path: `http://127.0.0.1:${proxy.port}/healthz` });
  assert.equal(looped.body.toString(), 'ok\n');
});

test('a plain answer that is cut is cut for the client', async (t) => {
  const port = await startPlainServer(t, (_, response) => void response.write('x', () => response.destroy()));
  const { say } = await setUp(t);
  await assert.rejects(say({ path: `http://127.0.0.1:${port}/` }), { code: 'ECONNRESET' });
});

test('a plain upload that its client gives up is given up at the target', async (t) => {
  const gone = Promise.withResolvers<void>();
  const port = await startPlainServer(t, (request) => {
    request.once('error', () => gone.resolve());
    request.once('data', () => socket.destroy());
  });
  const { proxy } = await setUp(t);
  const socket = await dial(t, proxy.port);
  socket.write(`PUT http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc`);
  await gone.promise;
});
