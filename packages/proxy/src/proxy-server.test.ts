import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { networkInterfaces } from 'node:os';
import { type TestContext, test } from 'node:test';
import { createLogger, parseRegistryHost, silentLogger, systemClock } from '@sealift/core';
import { InterceptCa } from '@sealift/pki';
import { MemoryBlobSource } from './memory-blob-source.ts';
import {
  ask,
  begin,
  connectTo,
  dial,
  readAnswer,
  startProxy,
  startUpstream,
  tlsThrough,
  untilEnd,
} from './proxy.fixture.ts';
import { ProxyServer, type ProxyServerOptions } from './proxy-server.ts';

const REGISTRY = parseRegistryHost('registry.test:5000');

async function makeProxy(options: Partial<ProxyServerOptions> = {}): Promise<ProxyServer> {
  return new ProxyServer({
    listen: { host: '127.0.0.1', port: 0 },
    registries: [{ registry: REGISTRY }],
    interceptCa: await InterceptCa.create({ registries: [REGISTRY], nodeName: 'test' }),
    blobs: new MemoryBlobSource(),
    clock: systemClock,
    log: silentLogger,
    ...options,
  });
}

for (const host of ['0.0.0.0', '::', '10.77.0.1', '192.168.1.1', '::ffff:10.0.0.1', 'registry.example', '', '127.1']) {
  test(`listening on "${host}" is refused`, async () => {
    const proxy = await makeProxy({ listen: { host, port: 0 } });
    await assert.rejects(proxy.start(), { code: 'LISTEN_NOT_LOOPBACK' });
    assert.equal(proxy.port, 0);
    await proxy.stop();
  });
}

for (const host of ['127.0.0.1', 'localhost', '127.8.9.10', '::ffff:127.0.0.1']) {
  test(`listening on ${host} is allowed`, async () => {
    const proxy = await makeProxy({ listen: { host, port: 0 } });
    await proxy.start();
    assert.ok(proxy.port > 0);
    await proxy.stop();
    assert.equal(proxy.port, 0);
  });
}

test('with the explicit permission it listens anywhere', async () => {
  const proxy = await makeProxy({ listen: { host: '0.0.0.0', port: 0 }, allowNonLoopback: true });
  await proxy.start();
  assert.ok(Object.keys(networkInterfaces()).length > 0 && proxy.port > 0);
  await proxy.stop();
});

test('start and stop are safe twice, and stop without start', async () => {
  const proxy = await makeProxy();
  await Promise.all([proxy.start(), proxy.start()]);
  await Promise.all([proxy.stop(), proxy.stop()]);
  await (await makeProxy()).stop();
});

test('a port that is taken is an error to hear of', async (t) => {
  const { port } = await startProxy(t, { registries: [{ registry: REGISTRY }] });
  const second = await makeProxy({ listen: { host: '127.0.0.1', port } });
  await assert.rejects(second.start(), { code: 'EADDRINUSE' });
  await second.stop();
});

async function setUp(t: TestContext, options: Partial<ProxyServerOptions> = {}) {
  const waiting: ServerResponse[] = [];
  const asked = Promise.withResolvers<void>();
  const upstream = await startUpstream(t, (request, response) => {
    if (request.url === '/v2/') return void response.end('ok');
    response.write('begun ');
    waiting.push(response);
    asked.resolve();
  });
  const proxy = await startProxy(t, { registries: [upstream.config], ...options });
  const open = () => tlsThrough(t, proxy.port, { target: upstream.host, ca: proxy.interceptCaPem });
  return { upstream, proxy, open, waiting, asked: asked.promise, headers: { Host: upstream.host } };
}

test('a stop lets running answers finish, and closes idle connections at once', async (t) => {
  const { proxy, open, waiting, asked, headers } = await setUp(t, { limits: { stopTimeoutMs: 60_000 } });
  const idle = await open();
  idle.write(`GET /v2/ HTTP/1.1\r\nHost: ${headers.Host}\r\n\r\n`);
  await once(idle, 'data');
  const silent = await dial(t, proxy.port);
  const request = begin(await open(), { path: '/v2/slow', headers });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  await asked;
  const stopped = proxy.proxy.stop();
  await Promise.all([untilEnd(idle), untilEnd(silent)]);
  waiting[0]?.end('and done');
  assert.equal((await readAnswer(response)).body.toString(), 'begun and done');
  await stopped;
});

test('a stop cuts what does not finish in time, tunnels included', async (t) => {
  const { upstream, proxy, open, headers } = await setUp(t, { limits: { stopTimeoutMs: 30 } });
  const request = begin(await open(), { path: '/v2/slow', headers });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const tunnel = await connectTo(t, proxy.port, upstream.host.replace('localhost', '127.0.0.1'));
  await Promise.all([
    proxy.proxy.stop(),
    assert.rejects(readAnswer(response), { code: 'ECONNRESET' }),
    untilEnd(tunnel),
  ]);
});

test('no line of the log holds a credential or a query', async (t) => {
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line), level: 'debug', clock: systemClock });
  const { upstream, proxy, open, headers } = await setUp(t, { log });
  const secrets = { ...headers, Authorization: 'Bearer very-secret' };
  const digest = proxy.blobs.add({ registry: upstream.host, repository: 'lib/app' as never }, Buffer.alloc(10), {
    authorization: 'Bearer very-secret',
  });
  await ask(await open(), { path: `/v2/lib/app/blobs/${digest}`, headers: secrets });
  upstream.server.closeAllConnections();
  upstream.server.close();
  await ask(await open(), { path: '/v2/x?_state=very-secret', headers: secrets });
  const other = await dial(t, proxy.port);
  other.end('CONNECT very-secret@x:1 HTTP/1.1\r\nProxy-Authorization: Basic very-secret\r\nHost: x\r\n\r\n');
  await untilEnd(other);
  const events = lines.map((line) => (JSON.parse(line) as { event: string }).event);
  assert.deepEqual(events.sort(), ['blob_served', 'connect_refused', 'pass_through_failed']);
  assert.doesNotMatch(lines.join(''), /very-secret/);
});
