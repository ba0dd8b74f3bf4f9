import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type TestContext, test } from 'node:test';
import { type Digest, parseRepository } from '@sealift/core';
import { FakeClock, FakeRegistry, type FakeRegistryOptions } from '@sealift/testkit';
import { askRegistry, begin, readAnswer, startProxy, startUpstream, tlsThrough, untilEnd } from './proxy.fixture.ts';
import type { ProxyServerOptions } from './proxy-server.ts';

const repository = parseRepository('lib/app');
const BLOB = randomBytes(1_000_003);
const SIZE = BLOB.length;

async function setUp(
  t: TestContext,
  {
    isHeld = true,
    registries = [],
    ...options
  }: FakeRegistryOptions & Partial<ProxyServerOptions> & { isHeld?: boolean } = {},
) {
  const registry = new FakeRegistry(options);
  await registry.start();
  t.after(() => registry.stop());
  const proxy = await startProxy(t, { registries: [registry.config, ...registries], ...options });
  const digest = registry.addBlob(repository, BLOB);
  if (isHeld) proxy.blobs.add({ registry: registry.host, repository }, BLOB);
  const ask = (headers: Record<string, string> = {}, method = 'GET') =>
    askRegistry(t, proxy, registry.host, { method, path: pathOf(digest), headers });
  return { registry, proxy, digest, ask };
}

function pathOf(digest: Digest): string {
  return `/v2/${repository}/blobs/${digest}`;
}

test('a blob comes from the source, whole, and the registry is not asked', async (t) => {
  const { registry, proxy, digest, ask } = await setUp(t);
  const { status, headers, body } = await ask();
  assert.equal(status, 200);
  assert.ok(body.equals(BLOB));
  assert.equal(headers['content-length'], String(SIZE));
  assert.equal(headers['docker-content-digest'], digest);
  assert.equal(headers['etag'], `"${digest}"`);
  assert.equal(headers['accept-ranges'], 'bytes');
  assert.equal(headers['content-type'], 'application/octet-stream');
  assert.equal(headers['docker-distribution-api-version'], 'registry/2.0');
  assert.equal(registry.requests.length, 0);
  assert.deepEqual(await proxy.served(), [{ registry: 0, peers: 0, cache: SIZE }]);
  assert.equal(proxy.blobs.openCount, 0);
});

test('a blob of the source is served while the registry is down', async (t) => {
  const { registry, proxy, digest } = await setUp(t);
  const { host } = registry;
  await registry.stop();
  assert.ok((await askRegistry(t, proxy, host, { path: pathOf(digest) })).body.equals(BLOB));
});

test('the source sees the header of the request, and a HEAD starts no transfer', async (t) => {
  const { registry, proxy, digest, ask } = await setUp(t);
  const { status, headers, body } = await ask({}, 'HEAD');
  assert.deepEqual([status, body.length, headers['content-length']], [200, 0, String(SIZE)]);
  await ask({ Authorization: 'Bearer x' });
  assert.deepEqual(proxy.blobs.requests, [
    { blob: { registry: registry.host, repository, digest }, authorization: undefined, intent: 'check' },
    { blob: { registry: registry.host, repository, digest }, authorization: 'Bearer x', intent: 'pull' },
  ]);
});

for (const [range, start, end] of [
  ['bytes=0-0', 0, 1],
  ['bytes=10007-20013', 10_007, 20_014],
  ['bytes=999999-', 999_999, SIZE],
  ['bytes=-5', SIZE - 5, SIZE],
] as const) {
  test(`Range ${range} is answered with exactly that part`, async (t) => {
    const { ask } = await setUp(t);
    const { status, headers, body } = await ask({ Range: range });
    assert.equal(status, 206);
    assert.equal(headers['content-range'], `bytes ${start}-${end - 1}/${SIZE}`);
    assert.equal(headers['content-length'], String(end - start));
    assert.ok(body.equals(BLOB.subarray(start, end)));
  });
}

test('a range behind the end is a 416 that tells the size', async (t) => {
  const { ask } = await setUp(t);
  const { status, headers, body } = await ask({ Range: `bytes=${SIZE}-` });
  assert.deepEqual([status, headers['content-range'], body.length], [416, `bytes */${SIZE}`, 0]);
});

test('several ranges, and a part of other bytes, are answered with the whole blob', async (t) => {
  const { ask } = await setUp(t);
  assert.equal((await ask({ Range: 'bytes=0-1,4-5' })).status, 200);
  assert.equal((await ask({ Range: 'bytes=0-1', 'If-Range': '"other"' })).status, 200);
});

test('what the source does not have, or may not give, comes from the registry', async (t) => {
  const { registry, proxy, digest, ask } = await setUp(t, { isHeld: false });
  assert.ok((await ask()).body.equals(BLOB));
  assert.equal(registry.counts(digest).gets, 1);
  assert.deepEqual(await proxy.served(), [{ registry: SIZE, peers: 0, cache: 0 }]);
});

test('a source that throws, even at once, lets the request pass', async (t) => {
  const { proxy, ask } = await setUp(t);
  proxy.blobs.onOpen = () => {
    throw new Error('broken');
  };
  assert.ok((await ask()).body.equals(BLOB));
});

test('a source that never answers is not waited for, nor asked again soon for that registry, and what it opens later is closed', async (t) => {
  const clock = new FakeClock();
  const limits = { openTimeoutMs: 50, openPauseMs: 1_000 };
  const other = await startUpstream(t, (_request, response) => response.writeHead(404).end());
  const { registry, proxy, digest, ask } = await setUp(t, { clock, limits, registries: [other.config] });
  const opened = () => proxy.blobs.requests.map(({ blob }) => blob.registry);
  proxy.blobs.add({ registry: other.host, repository }, BLOB);
  const late = Promise.withResolvers<void>();
  proxy.blobs.onOpen = () => late.promise;
  assert.ok((await ask()).body.equals(BLOB));
  late.resolve();
  await new Promise(setImmediate);
  assert.equal(proxy.blobs.openCount, 0);
  clock.advance(999);
  assert.ok((await askRegistry(t, proxy, other.host, { path: pathOf(digest) })).body.equals(BLOB));
  assert.ok((await ask()).body.equals(BLOB));
  assert.deepEqual(opened(), [registry.host, other.host]);
  clock.advance(1);
  assert.ok((await ask()).body.equals(BLOB));
  assert.deepEqual(opened(), [registry.host, other.host, registry.host]);
});

for (const [name, request] of [
  ['a condition', { headers: { 'If-None-Match': '"x"' } }],
  ['a second Authorization', { headers: { Authorization: ['Bearer a', 'Bearer b'] } }],
  ['a body', { headers: { 'Content-Length': '1' }, body: 'x' }],
  ['a query', { query: '?x=1' }],
] as const) {
  test(`a blob request with ${name} is the registry's to answer`, async (t) => {
    const { registry, proxy, digest } = await setUp(t);
    const { query = '', ...options } = { query: undefined, ...request };
    const path = `${pathOf(digest)}${query}`;
    await askRegistry(t, proxy, registry.host, { path, ...(options as object) });
    assert.equal(proxy.blobs.requests.length, 0);
    assert.equal(registry.counts(digest).gets, 1);
  });
}

for (const [kind, afterBytes] of [
  ['throw', 0],
  ['throw', 1],
  ['throw', 333_333],
  ['throw', SIZE - 1],
  ['end', 500_000],
  ['hang', 500_000],
  ['hang', 0],
] as const) {
  test(`a source that fails (${kind}) after ${afterBytes} bytes is followed by the registry, byte for byte`, async (t) => {
    const { registry, proxy, digest, ask } = await setUp(t, kind === 'hang' ? { limits: { readTimeoutMs: 300 } } : {});
    proxy.blobs.fail(digest, { kind, afterBytes });
    const { status, body } = await ask();
    assert.equal(status, 200);
    assert.ok(body.equals(BLOB));
    assert.equal(registry.counts(digest).gets, 1);
    assert.equal((await proxy.served())[0]?.registry, SIZE - afterBytes);
    assert.equal(proxy.blobs.openCount, 0);
  });
}

test('true bytes of the registry never follow those of a blob that proved false', async (t) => {
  const { registry, proxy, digest, ask } = await setUp(t);
  proxy.blobs.fail(digest, { kind: 'withdraw', afterBytes: 333_333 });
  await assert.rejects(ask());
  assert.equal(registry.counts(digest).gets, 0);
  // With nothing sent yet there is nothing false in the answer.
  proxy.blobs.fail(digest, { kind: 'withdraw', afterBytes: 0 });
  assert.ok((await ask()).body.equals(BLOB));
});

test('a failed part is followed by the registry up to its end and no further', async (t) => {
  const { proxy, digest, ask } = await setUp(t);
  proxy.blobs.fail(digest, { kind: 'throw', afterBytes: 300_000 });
  const { status, body } = await ask({ Range: 'bytes=200000-399999' });
  assert.equal(status, 206);
  assert.ok(body.equals(BLOB.subarray(200_000, 400_000)));
  assert.deepEqual(await proxy.served(), [{ registry: 100_000, peers: 0, cache: 100_000 }]);
});

test('the registry that follows may redirect to its CDN, and gets the header of the request', async (t) => {
  const { registry, proxy, digest } = await setUp(t, { auth: 'bearer', isRedirecting: true, isHeld: false });
  const authorization = `Bearer ${await registry.tokens.issue({ repositories: [repository] })}`;
  proxy.blobs.add({ registry: registry.host, repository }, BLOB, { authorization });
  proxy.blobs.fail(digest, { kind: 'throw', afterBytes: 123_456 });
  const headers = { Authorization: authorization };
  const { body } = await askRegistry(t, proxy, registry.host, { path: pathOf(digest), headers });
  assert.ok(body.equals(BLOB));
  const [first, second] = registry.requests;
  assert.equal(first?.headers.authorization, authorization);
  assert.deepEqual([second?.at, second?.headers.authorization], ['cdn', undefined]);
});

test('a registry that is cut while it follows is asked for the rest again', async (t) => {
  const { registry, proxy, digest, ask } = await setUp(t);
  proxy.blobs.fail(digest, { kind: 'throw', afterBytes: 100_000 });
  registry.fail(digest, { kind: 'cut', afterBytes: 200_000 });
  assert.ok((await ask()).body.equals(BLOB));
  assert.equal(registry.counts(digest).gets, 2);
});

test('a registry that falls silent while it follows has the time of its limit, and is then asked for the rest again', async (t) => {
  const { registry, proxy, digest, ask } = await setUp(t, { limits: { restIdleTimeoutMs: 300 } });
  proxy.blobs.fail(digest, { kind: 'throw', afterBytes: 100_000 });
  registry.fail(digest, { kind: 'stall', afterBytes: 200_000 });
  registry.fail(digest, { kind: 'hang' });
  assert.ok((await ask()).body.equals(BLOB));
  assert.equal(registry.counts(digest).gets, 3);
});

test('a registry that knows no ranges is read from its start, and the client sees none of it twice', async (t) => {
  const { registry, proxy, digest, ask } = await setUp(t);
  proxy.blobs.fail(digest, { kind: 'throw', afterBytes: 333_333 });
  registry.fail(digest, { kind: 'ignore-range' }, { times: 100 });
  assert.ok((await ask()).body.equals(BLOB));
  assert.equal((await proxy.served())[0]?.registry, SIZE - 333_333);
});

test('a registry that asks to come later while it follows is asked later, and the body comes out whole', async (t) => {
  const { registry, proxy, digest, ask } = await setUp(t, { limits: { maxRetryAfterMs: 20 } });
  proxy.blobs.fail(digest, { kind: 'throw', afterBytes: 100_000 });
  registry.fail(digest, { kind: 'status', status: 429, headers: { 'retry-after': '3600' } });
  registry.fail(digest, { kind: 'status', status: 503, headers: { 'retry-after': '0' } });
  assert.ok((await ask()).body.equals(BLOB));
  assert.equal(registry.counts(digest).gets, 3);
});

test('a signed URL that ended while the registry follows is asked for anew', async (t) => {
  const { registry, proxy, digest, ask } = await setUp(t, { isRedirecting: true });
  proxy.blobs.fail(digest, { kind: 'throw', afterBytes: 100_000 });
  registry.fail(digest, { kind: 'cut', afterBytes: 200_000 }, { at: 'cdn' });
  registry.fail(digest, { kind: 'status', status: 403 }, { at: 'cdn' });
  assert.ok((await ask()).body.equals(BLOB));
  assert.equal(registry.counts(digest).gets, 3);
});

for (const [name, fault] of [
  ['refuses', { kind: 'status', status: 401 }],
  ['is broken', { kind: 'status', status: 500 }],
  ['resets', { kind: 'reset' }],
  [
    'sends a blob of another size',
    {
      kind: 'headers',
      headers: { 'content-range': `bytes 400000-${SIZE}/${SIZE + 1}`, 'content-length': String(SIZE + 1 - 400_000) },
    },
  ],
] as const) {
  test(`if the registry that follows ${name}, the connection is cut and the body never looks whole`, async (t) => {
    const { registry, proxy, digest, ask } = await setUp(t);
    proxy.blobs.fail(digest, { kind: 'throw', afterBytes: 400_000 });
    registry.fail(digest, fault, { times: 100 });
    await assert.rejects(ask(), { code: 'ECONNRESET' });
    assert.equal((await proxy.served()).length, 1);
    assert.equal(proxy.blobs.openCount, 0);
  });
}

test('a body that could not be finished ends its connection, even one that was to be kept', async (t) => {
  const { registry, proxy, digest } = await setUp(t);
  proxy.blobs.fail(digest, { kind: 'throw', afterBytes: 400_000 });
  registry.fail(digest, { kind: 'status', status: 404 }, { times: 100 });
  const socket = await tlsThrough(t, proxy.port, { target: registry.host, ca: proxy.interceptCaPem });
  socket.write(`GET ${pathOf(digest)} HTTP/1.1\r\nHost: ${registry.host}\r\n\r\n`);
  const text = await untilEnd(socket);
  assert.match(text, new RegExp(`content-length: ${SIZE}`, 'i'));
  assert.ok(text.length < 500_000);
});

test('a client that goes away cancels the read of the source', async (t) => {
  const { registry, proxy, digest } = await setUp(t, { isHeld: false });
  // More than the sockets between can hold, so that the read cannot end by itself.
  const large = Buffer.alloc(32 * 1024 * 1024, 1);
  const largeDigest = proxy.blobs.add({ registry: registry.host, repository }, large);
  assert.notEqual(largeDigest, digest);
  const socket = await tlsThrough(t, proxy.port, { target: registry.host, ca: proxy.interceptCaPem });
  const request = begin(socket, { path: pathOf(largeDigest), headers: { Host: registry.host } });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.once('data', () => socket.destroy());
  await assert.rejects(readAnswer(response));
  while (proxy.blobs.openCount > 0) await new Promise(setImmediate);
  assert.equal(proxy.blobs.cancelledCount, 1);
  assert.equal(registry.counts(largeDigest).gets, 0);
});

test('a client that goes away while the source opens cancels that too', async (t) => {
  const { registry, proxy, digest } = await setUp(t);
  const socket = await tlsThrough(t, proxy.port, { target: registry.host, ca: proxy.interceptCaPem });
  const seen = new Promise<void>((resolve) => {
    proxy.blobs.onOpen = async ({ signal }) => {
      socket.destroy();
      await once(signal, 'abort');
      resolve();
    };
  });
  begin(socket, { path: pathOf(digest), headers: { Host: registry.host } }).end();
  await seen;
  assert.equal(registry.counts(digest).gets, 0);
});
