import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import {
  askRegistry,
  connectTo,
  converse,
  startProxy,
  startUpstream,
  type TestProxy,
  tlsThrough,
  untilEnd,
} from '../../packages/proxy/src/proxy.fixture.ts';
import type { ProxyServerOptions } from '../../packages/proxy/src/proxy-server.ts';

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

for (const target of [
  '../../x:443',
  'localhost',
  'localhost:',
  'localhost:0',
  'localhost:99999',
  'user@localhost:443',
  'localhost:443@evil.example:443',
  '[::1:443',
  'https://localhost:443',
  '/v2/',
  '*',
  'a'.repeat(1000),
]) {
  test(`T-10: CONNECT ${target.slice(0, 40)} is refused with a reason and the connection closed`, async (t) => {
    const { proxy } = await setUp(t);
    const text = await converse(t, proxy.port, `CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 400 .*Connection: close.*(?:CONNECT_TARGET_INVALID|REQUEST_UNSUPPORTED)/s);
  });
}

test('T-10: another TLS server name than the CONNECT target’s is refused, a registry’s included', async (t) => {
  const { proxy, host } = await setUp(t);
  for (const servername of ['evil.example', 'localhost.evil.example', 'LOCALHOST.']) {
    const socket = await connectTo(t, proxy.port, host);
    const tlsSocket = tlsConnect({ socket, servername, rejectUnauthorized: false });
    await assert.rejects(once(tlsSocket, 'secureConnect'));
  }
});

for (const [name, head] of [
  ['another Host', 'GET /v2/ HTTP/1.1\r\nHost: evil.example'],
  ['the same Host with another port', 'GET /v2/ HTTP/1.1\r\nHost: localhost:1'],
  ['two Hosts', 'GET /v2/ HTTP/1.1\r\nHost: HERE\r\nHost: evil.example'],
  ['user information in Host', 'GET /v2/ HTTP/1.1\r\nHost: x@HERE'],
  ['another host in its address', 'GET https://evil.example/v2/ HTTP/1.1\r\nHost: HERE'],
  ['no Host in HTTP/1.0', 'GET /v2/ HTTP/1.0'],
] as const) {
  test(`T-10: an intercepted request with ${name} is misdirected and never leaves`, async (t) => {
    const { seen, proxy, host } = await setUp(t);
    const text = await say(t, proxy, host, `${head.replace('HERE', host)}\r\nConnection: close\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 421 /);
    assert.deepEqual(seen, []);
  });
}

for (const [name, message] of [
  [
    'both framings',
    'POST /v2/ HTTP/1.1\r\nHost: HERE\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['two lengths', 'POST /v2/ HTTP/1.1\r\nHost: HERE\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd'],
  ['a length that is no number', 'POST /v2/ HTTP/1.1\r\nHost: HERE\r\nContent-Length: +4\r\n\r\nabcd'],
  ['chunked that is not last', 'POST /v2/ HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: chunked, gzip\r\n\r\n'],
  ['another coding', 'POST /v2/ HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  [
    'a chunk size that is no number',
    'POST /v2/ HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n',
  ],
  ['a folded header', 'GET /v2/ HTTP/1.1\r\nHost: HERE\r\nX: a\r\n b\r\n\r\n'],
  ['space before a colon', 'GET /v2/ HTTP/1.1\r\nHost: HERE\r\nContent-Length : 4\r\n\r\n'],
  ['a bare line feed', 'GET /v2/ HTTP/1.1\nHost: HERE\n\nGET /v2/hidden HTTP/1.1\nHost: HERE\n\n'],
  ['a null byte in a header', 'GET /v2/ HTTP/1.1\r\nHost: HERE\r\nX: a\0b\r\n\r\n'],
  ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\r\n\r\n'],
] as const) {
  test(`T-10: a request with ${name} smuggles nothing in`, async (t) => {
    const { seen, proxy, host } = await setUp(t);
    const text = await say(t, proxy, host, message.replaceAll('HERE', host));
    assert.match(text, /^(?:HTTP\/1\.1 (?:400|501) |$)/);
    assert.ok(seen.length === 0 || (seen.length === 1 && name.includes('chunk size')), String(seen));
  });
}

test('T-10: a page in a browser that reaches the mirror by a name of its own is turned away', async (t) => {
  const { seen, proxy, host } = await setUp(t);
  const path = `/v2/team/app/blobs/sha256:${'0'.repeat(64)}?ns=${encodeURIComponent(host)}`;
  const answer = await converse(t, proxy.port, `GET ${path} HTTP/1.1\r\nHost: rebound.example\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 421 .*HOST_MISDIRECTED/s);
  assert.deepEqual(seen, []);
});

test('T-10: two credentials in one request are left to the registry to judge', async (t) => {
  const { proxy, host } = await setUp(t);
  const digest = proxy.blobs.add({ registry: host, repository: 'team/app' as never }, Buffer.alloc(100), {
    authorization: 'Bearer good',
  });
  const path = `/v2/team/app/blobs/${digest}`;
  const served = await askRegistry(t, proxy, host, { path, headers: { authorization: 'Bearer good' } });
  assert.equal(served.body.length, 100);
  const head = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n`;
  const text = `${head}Authorization: Bearer bad\r\nAuthorization: Bearer good\r\n\r\n`;
  assert.match(await say(t, proxy, host, text), /from the registry/);
});

test('T-10: a proxy that others could reach does not start', async (t) => {
  await assert.rejects(setUp(t, { listen: { host: '0.0.0.0', port: 0 } }), { code: 'LISTEN_NOT_LOOPBACK' });
});

test('T-10: a tunnel back into the proxy is not built', async (t) => {
  const { proxy } = await setUp(t);
  for (const name of ['127.0.0.1', 'localhost', '127.0.0.2']) {
    const text = await converse(t, proxy.port, `CONNECT ${name}:${proxy.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 (?:400|502) /);
  }
});
