import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connect as tlsConnect } from 'node:tls';
import {
  ask,
  connectTo,
  converse,
  dial,
  startProxy,
  startUpstream,
  type TestProxy,
  tlsThrough,
  untilEnd,
} from './proxy.fixture.ts';
import type { ProxyServerOptions } from './proxy-server.ts';

async function setUp(t: TestContext, options: Partial<ProxyServerOptions> = {}) {
  const seen: string[] = [];
  const upstream = await startUpstream(t, (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    request.resume().once('end', () => response.end('from the registry'));
  });
  const proxy = await startProxy(t, { registries: [upstream.config], ...options });
  return { seen, upstream, proxy, host: upstream.host };
}

/** Sends `text` on an intercepted connection and resolves with all that comes back. */
async function say(t: TestContext, proxy: TestProxy, target: string, text: string): Promise<string> {
  const socket = await tlsThrough(t, proxy.port, { target, ca: proxy.interceptCaPem });
  socket.write(text);
  return await untilEnd(socket);
}

/** One answered request on a connection that stays open. */
async function askHealth(socket: Socket): Promise<void> {
  socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  assert.match(bytes.toString(), /^HTTP\/1\.1 200 /);
}

test('an intercepted request in absolute form for the registry itself is taken', async (t) => {
  const { seen, proxy, host } = await setUp(t);
  const head = `GET https://${host}/v2/x HTTP/1.1\r\nHost: ${host}\r\nConnection: close`;
  assert.match(await say(t, proxy, host, `${head}\r\n\r\n`), /^HTTP\/1\.1 200 /);
  assert.deepEqual(seen, ['GET /v2/x']);
});

test('CONNECT inside a tunnel is refused', async (t) => {
  const { proxy, host } = await setUp(t);
  const text = await say(t, proxy, host, `CONNECT evil.example:443 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  assert.match(text, /^HTTP\/1\.1 400 .*tunnel already/s);
});

test('a head above the limit is refused, outside and inside', async (t) => {
  const { proxy, host } = await setUp(t, { limits: { maxHeaderBytes: 4096 } });
  const large = `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nX: ${'a'.repeat(8192)}\r\n\r\n`;
  assert.match(await converse(t, proxy.port, large), /^HTTP\/1\.1 431 /);
  assert.match(await say(t, proxy, host, large), /^HTTP\/1\.1 431 /);
});

test('an answer with a head above the limit is a 502', async (t) => {
  const upstream = await startUpstream(t, (_, response) => void response.setHeader('x', 'a'.repeat(8192)).end());
  const proxy = await startProxy(t, { registries: [upstream.config], limits: { maxHeaderBytes: 4096 } });
  const socket = await tlsThrough(t, proxy.port, { target: upstream.host, ca: proxy.interceptCaPem });
  assert.equal((await ask(socket, { path: '/v2/', headers: { Host: upstream.host } })).status, 502);
});

test('who is slow with a head is cut off: before it, in it, in the TLS handshake, and behind it', async (t) => {
  const { proxy, host } = await setUp(t, { limits: { headersTimeoutMs: 500 } });
  const silent = await dial(t, proxy.port);
  const slow = await dial(t, proxy.port);
  slow.write('GET /healthz HTTP/1.1\r\nHost: ');
  const noHandshake = await connectTo(t, proxy.port, host);
  const inner = await tlsThrough(t, proxy.port, { target: host, ca: proxy.interceptCaPem });
  inner.write('GET /v2/ HTTP/1.1\r\nHo');
  const [first, second, third, fourth] = await Promise.all([silent, slow, noHandshake, inner].map(untilEnd));
  for (const text of [first, second, fourth]) assert.match(text ?? '', /^HTTP\/1\.1 408 /);
  assert.equal(third, '');
});

test('a client that is silent in the middle of its upload is cut off', async (t) => {
  const { proxy, host } = await setUp(t, { limits: { clientIdleTimeoutMs: 300 } });
  const text = await say(t, proxy, host, `PUT /v2/ HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 10\r\n\r\nabc`);
  assert.equal(text, '');
});

test('a client that waits for a slow blob is not taken for a silent one', async (t) => {
  const { proxy, host } = await setUp(t, { limits: { clientIdleTimeoutMs: 300 } });
  // Real time has to pass: twice the limit that must not strike.
  proxy.blobs.onOpen = () => setTimeout(600);
  const path = `/v2/a/blobs/sha256:${'0'.repeat(64)}`;
  const socket = await tlsThrough(t, proxy.port, { target: host, ca: proxy.interceptCaPem });
  assert.equal((await ask(socket, { path, headers: { Host: host } })).status, 200);
});

test('an idle connection between two requests is closed in time', async (t) => {
  const { proxy, host } = await setUp(t, { limits: { keepAliveTimeoutMs: 20 } });
  const socket = await tlsThrough(t, proxy.port, { target: host, ca: proxy.interceptCaPem });
  socket.write(`GET /v2/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  assert.match(await untilEnd(socket), /from the registry/);
});

test('a client that pipelines without end is cut off', async (t) => {
  const { seen, proxy, host } = await setUp(t);
  proxy.blobs.onOpen = ({ signal }) => once(signal, 'abort').then(() => {});
  const request = `GET /v2/a/blobs/sha256:${'0'.repeat(64)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  assert.equal(await say(t, proxy, host, request.repeat(200)), '');
  assert.ok(proxy.blobs.requests.length <= 4, String(proxy.blobs.requests.length));
  assert.deepEqual(seen, []);
});

test('more connections than the limit are closed at once', async (t) => {
  const { proxy } = await setUp(t, { limits: { maxConnections: 2 } });
  for (const socket of [await dial(t, proxy.port), await dial(t, proxy.port)]) await askHealth(socket);
  await untilEnd((await dial(t, proxy.port)).resume());
});

test('a connection that has asked nothing yet makes room for the next one', async (t) => {
  const { proxy } = await setUp(t, { limits: { maxSilentConnections: 2 } });
  const [oldest, second, third] = [await dial(t, proxy.port), await dial(t, proxy.port), await dial(t, proxy.port)];
  await untilEnd(oldest.resume());
  for (const socket of [second, third]) await askHealth(socket);
});

test('an address that has all its connections does not stop another', async (t) => {
  const { proxy } = await setUp(t, { limits: { maxConnectionsPerAddress: 2 } });
  for (const socket of [await dial(t, proxy.port), await dial(t, proxy.port)]) await askHealth(socket);
  await untilEnd((await dial(t, proxy.port)).resume());
  await askHealth(await dial(t, proxy.port, { localAddress: '127.0.0.2' }));
});

test('more CONNECTs than the limit that still wait are refused', async (t) => {
  const interceptCa = { secureContextFor: () => new Promise<never>(() => {}) };
  const { proxy, host } = await setUp(t, { interceptCa, limits: { maxPendingConnects: 1 } });
  const first = await dial(t, proxy.port);
  first.write(`CONNECT ${host} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const text = await converse(t, proxy.port, `CONNECT ${host} HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.match(text, /^HTTP\/1\.1 429 /);
});

test('clients that break off at any moment leave the proxy well', async (t) => {
  const { proxy, host } = await setUp(t);
  for (const text of [
    '',
    'C',
    `CONNECT ${host} HTTP/1.1\r\n`,
    `CONNECT ${host} HTTP/1.1\r\nHost: x\r\n\r\n`,
    'GET http://',
  ]) {
    const socket = await dial(t, proxy.port);
    if (text !== '') await new Promise((resolve) => socket.write(text, resolve));
    socket.resetAndDestroy();
  }
  const tunnelled = await connectTo(t, proxy.port, host);
  tunnelled.write('\x16\x03\x01');
  tunnelled.resetAndDestroy();
  for (const text of ['', 'GET', `GET /v2/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`]) {
    const outer = await connectTo(t, proxy.port, host);
    const socket = tlsConnect({ socket: outer, servername: 'localhost', ca: proxy.interceptCaPem });
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    if (text !== '') await new Promise((resolve) => socket.write(text, resolve));
    outer.resetAndDestroy();
  }
  const socket = await tlsThrough(t, proxy.port, { target: host, ca: proxy.interceptCaPem });
  assert.equal((await ask(socket, { path: '/v2/', headers: { Host: host } })).status, 200);
});
