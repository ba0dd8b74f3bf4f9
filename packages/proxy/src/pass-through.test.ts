import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { FakeRegistry } from '@sealift/testkit';
import { ask, askRegistry, begin, readAnswer, startProxy, startUpstream, tlsThrough } from './proxy.fixture.ts';
import type { ProxyServerOptions } from './proxy-server.ts';

async function setUp(t: TestContext, handler: RequestListener, options: Partial<ProxyServerOptions> = {}) {
  const upstream = await startUpstream(t, handler);
  const proxy = await startProxy(t, { registries: [upstream.config], ...options });
  const open = () => tlsThrough(t, proxy.port, { target: upstream.host, ca: proxy.interceptCaPem });
  return { upstream, proxy, open, host: upstream.host };
}

test('a challenge of the registry comes through word for word', async (t) => {
  const registry = new FakeRegistry({ auth: 'bearer' });
  await registry.start();
  t.after(() => registry.stop());
  const proxy = await startProxy(t, { registries: [registry.config] });
  const path = '/v2/lib/app/manifests/1';
  const { status, headers, body } = await askRegistry(t, proxy, registry.host, { path });
  assert.equal(status, 401);
  const challenge = `Bearer realm="${registry.realm}",service="fake-registry",scope="repository:lib/app:pull"`;
  assert.equal(headers['www-authenticate'], challenge);
  assert.match(body.toString(), /UNAUTHORIZED/);
});

test('heads pass in both directions with their case, order and repetitions, without what is meant for one hop', async (t) => {
  let seen: IncomingMessage | undefined;
  const { open, host } = await setUp(t, (request, response) => {
    seen = request;
    response.sendDate = false;
    const headers = ['X-Case', '1', 'Set-Cookie', 'a', 'Set-Cookie', 'b', 'Connection', 'X-Hop', 'X-Hop', '1'];
    response.writeHead(404, 'Not Here', [...headers, 'Content-Length', '2']).end('no');
  });
  const headers = ['Host', host, 'X-Odd-CASE', '1', 'x-two', 'a', 'X-Two', 'b', 'Proxy-Authorization', 'Basic eA=='];
  const answer = await ask(await open(), { path: '/v2/a%2Fb?x=%20', headers: [...headers, 'TE', 'trailers'] });
  assert.equal(seen?.url, '/v2/a%2Fb?x=%20');
  assert.deepEqual(seen.rawHeaders.slice(0, 8), headers.slice(0, 8));
  assert.equal(seen.headers['proxy-authorization'] ?? seen.headers['te'], undefined);
  assert.equal(answer.status, 404);
  const expected = ['X-Case', '1', 'Set-Cookie', 'a', 'Set-Cookie', 'b', 'Content-Length', '2'];
  assert.deepEqual(answer.rawHeaders.slice(0, 8), expected);
  assert.equal(answer.headers['x-hop'], undefined);
});

test('a redirect is the client’s to follow', async (t) => {
  const { open, host } = await setUp(t, (_, response) => {
    response.writeHead(307, { location: 'https://cdn.example/x?sig=1' }).end();
  });
  const { status, headers } = await ask(await open(), { path: '/v2/x', headers: { Host: host } });
  assert.deepEqual([status, headers.location], [307, 'https://cdn.example/x?sig=1']);
});

test('a chunked push of many megabytes streams through, trailers included', async (t) => {
  const hash = createHash('sha256');
  const { open, host } = await setUp(t, (request, response) => {
    request.on('data', (chunk) => hash.update(chunk));
    request.on('end', () => response.writeHead(202, { 'x-trailer': request.trailers['x-sum'] ?? '' }).end());
  });
  const request = begin(await open(), {
    method: 'PATCH',
    path: '/v2/lib/app/blobs/uploads/1',
    headers: { Host: host, 'Transfer-Encoding': 'chunked', Trailer: 'X-Sum' },
  });
  const sent = createHash('sha256');
  const part = randomBytes(256 * 1024);
  for (let count = 0; count < 32; count += 1) {
    sent.update(part);
    if (!request.write(part)) await once(request, 'drain');
  }
  request.addTrailers({ 'X-Sum': 'abc' });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  assert.deepEqual([response.statusCode, response.headers['x-trailer']], [202, 'abc']);
  assert.equal(hash.digest('hex'), sent.digest('hex'));
});

test('an upload waits for a registry that does not read: the proxy holds little of it', async (t) => {
  const { open, host, proxy } = await setUp(t, (request) => void request.pause());
  const request = begin(await open(), {
    method: 'PUT',
    path: '/v2/x',
    headers: { Host: host, 'Content-Length': String(1024 ** 3) },
  });
  const part = Buffer.alloc(1024 * 1024);
  let sent = 0;
  while (request.write(part)) sent += part.length;
  // The pipe is full when no more leaves within some turns of the event loop.
  for (let turns = 0; turns < 200; turns += 1) {
    await new Promise(setImmediate);
    while (!request.writableNeedDrain && sent < 256 * part.length) {
      request.write(part);
      sent += part.length;
    }
  }
  assert.ok(sent < 64 * part.length, `${sent} bytes were taken`);
  await proxy.proxy.stop();
});

test('an answer with trailers and without a length keeps both', async (t) => {
  const { open, host } = await setUp(t, (_, response) => {
    response.writeHead(200, { Trailer: 'X-Sum' });
    response.write('a');
    response.addTrailers({ 'X-Sum': 'abc' });
    response.end('b');
  });
  const { body, trailers, headers } = await ask(await open(), { path: '/v2/x', headers: { Host: host } });
  assert.equal(body.toString(), 'ab');
  assert.equal(headers['transfer-encoding'], 'chunked');
  assert.equal(trailers['x-sum'], 'abc');
});

test('the registry says whether to continue, and the body follows only then', async (t) => {
  const { upstream, open, host } = await setUp(t, () => {});
  upstream.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    response.writeContinue();
    request.resume().once('end', () => response.writeHead(201).end());
  });
  const headers = { Host: host, Expect: '100-continue', 'Content-Length': '3' };
  const request = begin(await open(), { method: 'PUT', path: '/v2/x', headers });
  request.flushHeaders();
  await once(request, 'continue');
  request.end('abc');
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 201);
});

test('a registry that refuses before the body gets to say so, and the connection ends', async (t) => {
  const { upstream, open, host } = await setUp(t, () => {});
  upstream.server.on('checkContinue', (_: IncomingMessage, response: ServerResponse) => {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
  });
  const headers = { Host: host, Expect: '100-continue', 'Content-Length': '3' };
  const request = begin(await open(), { method: 'PUT', path: '/v2/x', headers });
  request.flushHeaders();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  assert.deepEqual([response.statusCode, response.headers.connection], [401, 'close']);
});

test('methods without a body and without a length are passed on as such', async (t) => {
  const seen: (string | undefined)[] = [];
  const { open, host } = await setUp(t, (request, response) => {
    seen.push(request.method, request.headers['content-length'], request.headers['transfer-encoding']);
    response.end();
  });
  for (const method of ['POST', 'DELETE']) {
    const socket = await open();
    socket.write(`${method} /v2/x HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    await once(socket.resume(), 'end');
  }
  assert.deepEqual(seen, ['POST', '0', undefined, 'DELETE', undefined, undefined]);
});

test('connections to the registry are kept for the next request', async (t) => {
  const sockets = new Set<Socket>();
  const { open, host } = await setUp(t, (request, response) => {
    sockets.add(request.socket);
    response.end('ok');
  });
  for (let count = 0; count < 3; count += 1) {
    await ask(await open(), { path: '/v2/', headers: { Host: host } });
    await new Promise(setImmediate);
  }
  assert.equal(sockets.size, 1);
});

test('a kept connection that died is not the client’s trouble', async (t) => {
  let count = 0;
  const { open, host } = await setUp(t, (request, response) => {
    count += 1;
    if (count === 2) request.socket.destroy();
    else response.end('ok');
  });
  const headers = { Host: host };
  assert.equal((await ask(await open(), { path: '/v2/', headers })).status, 200);
  assert.equal((await ask(await open(), { path: '/v2/', headers })).status, 200);
  assert.equal(count, 3);
});

test('GET and HEAD survive passing faults of the connection, two in a row', async (t) => {
  for (const method of ['GET', 'HEAD']) {
    let count = 0;
    const { open, host } = await setUp(t, (request, response) => {
      count += 1;
      if (count < 3) request.socket.destroy();
      else response.end('ok');
    });
    assert.equal((await ask(await open(), { method, path: '/v2/', headers: { Host: host } })).status, 200);
  }
});

test('a push gets a connection of its own, since it could not be repeated on another one', async (t) => {
  const sockets: Socket[] = [];
  const { open, host } = await setUp(t, (request, response) => {
    sockets.push(request.socket);
    response.end('ok');
  });
  await ask(await open(), { path: '/v2/', headers: { Host: host } });
  await new Promise(setImmediate);
  await ask(await open(), { method: 'POST', path: '/v2/x', headers: { Host: host, 'Content-Length': '0' } });
  assert.notEqual(sockets[0], sockets[1]);
});

test('a push is never sent twice', async (t) => {
  let count = 0;
  const { open, host } = await setUp(t, (request) => {
    count += 1;
    request.socket.destroy();
  });
  const request = { method: 'POST', path: '/v2/x', headers: { Host: host, 'Content-Length': '0' } };
  assert.equal((await ask(await open(), request)).status, 502);
  assert.equal(count, 1);
});

test('a registry that cannot be reached is a 502 that says what to do, and no more than that', async (t) => {
  const { upstream, proxy, host } = await setUp(t, () => {});
  upstream.server.close();
  const headers = { Authorization: 'Bearer very-secret' };
  const { status, body } = await askRegistry(t, proxy, host, { path: '/v2/x?_state=secret', headers });
  assert.equal(status, 502);
  const { errors } = JSON.parse(body.toString()) as { errors: { code: string; message: string }[] };
  assert.equal(errors[0]?.code, 'UNAVAILABLE');
  assert.match(errors[0]?.message ?? '', /ECONNREFUSED.*Check that this node/);
  assert.doesNotMatch(body.toString(), /secret/);
});

test('a registry that takes the connection and says nothing does not hold the client for ever', async (t) => {
  const { proxy, host } = await setUp(t, () => {}, { limits: { upstreamIdleTimeoutMs: 30 } });
  const { status, body } = await askRegistry(t, proxy, host, { path: '/v2/' });
  assert.equal(status, 502);
  assert.match(body.toString(), /ETIMEDOUT/);
});

test('a registry with a certificate that nobody vouches for is refused', async (t) => {
  let count = 0;
  const { upstream } = await setUp(t, () => {
    count += 1;
  });
  const proxy = await startProxy(t, { registries: [{ registry: upstream.host }] });
  const { status, body } = await askRegistry(t, proxy, upstream.host, { path: '/v2/' });
  assert.deepEqual([status, count], [502, 0]);
  assert.match(body.toString(), /CERT|SIGNATURE/);
});

for (const framing of ['length', 'chunked'] as const) {
  test(`a body that the registry cuts (${framing}) is cut for the client too`, async (t) => {
    const { proxy, host } = await setUp(t, (_, response) => {
      if (framing === 'length') response.setHeader('content-length', 100);
      response.write('some');
      response.write('more', () => response.destroy());
    });
    await assert.rejects(askRegistry(t, proxy, host, { path: '/v2/x' }), { code: 'ECONNRESET' });
  });
}

test('a client that goes away ends the request to the registry', async (t) => {
  const gone = Promise.withResolvers<void>();
  const { open, host } = await setUp(t, (_, response) => {
    response.once('close', () => gone.resolve());
    response.write('some');
  });
  const socket = await open();
  const request = begin(socket, { path: '/v2/x', headers: { Host: host } });
  request.end();
  await once(request, 'response');
  socket.destroy();
  await gone.promise;
});

test('a client that goes away in the middle of its upload ends it at the registry', async (t) => {
  const gone = Promise.withResolvers<void>();
  const { open, host } = await setUp(t, (request) => {
    request.once('error', () => gone.resolve());
    request.once('data', () => socket.destroy());
  });
  const socket = await open();
  const request = begin(socket, { method: 'PATCH', path: '/v2/x', headers: { Host: host, 'Content-Length': '10' } });
  request.write('abc');
  await gone.promise;
});

test('a client that stops reading stops the registry’s body, and others go on', async (t) => {
  let written = 0;
  const { open, host } = await setUp(t, async (request, response) => {
    if (request.url === '/v2/') return void response.end('ok');
    const part = Buffer.alloc(1024 * 1024);
    while (!response.destroyed && written < 256 * part.length) {
      written += part.length;
      await new Promise<void>((resolve) => response.write(part, () => resolve()));
    }
    response.end();
  });
  const request = begin(await open(), { path: '/v2/big', headers: { Host: host } });
  request.end();
  await once(request, 'response');
  for (let count = 0; count < 20; count += 1) await ask(await open(), { path: '/v2/', headers: { Host: host } });
  assert.ok(written < 64 * 1024 * 1024, `${written} bytes were taken from the registry`);
});

test('a request to upgrade is answered as the plain request that it also is', async (t) => {
  let upgrade: string | undefined = 'unset';
  const { open, host } = await setUp(t, (request, response) => {
    upgrade = request.headers.upgrade;
    response.end('plain');
  });
  const headers = { Host: host, Connection: 'Upgrade', Upgrade: 'websocket' };
  const { status, body } = await ask(await open(), { path: '/v2/', headers });
  assert.deepEqual([status, body.toString(), upgrade], [200, 'plain', undefined]);
});

test('a registry that speaks nonsense is a 502', async (t) => {
  const { upstream, proxy, host } = await setUp(t, () => {});
  upstream.server.on('secureConnection', (socket: Socket) => socket.end('SSH-2.0-x\r\n\r\n'));
  assert.equal((await askRegistry(t, proxy, host, { path: '/v2/' })).status, 502);
});

test('an answer without a length that ends with its connection comes through whole', async (t) => {
  const { upstream, proxy, host } = await setUp(t, () => {});
  upstream.server.removeAllListeners('request');
  upstream.server.on('request', (request: IncomingMessage) => {
    request.socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end');
  });
  assert.equal((await askRegistry(t, proxy, host, { path: '/v2/' })).body.toString(), 'to the end');
});

test('several requests follow one another on one connection', async (t) => {
  const { open, host } = await setUp(t, (request, response) => void response.end(request.url));
  const socket = await open();
  socket.write(`GET /v2/1 HTTP/1.1\r\nHost: ${host}\r\n\r\nGET /v2/2 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  socket.write(`GET /v2/3 HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  let text = '';
  for await (const part of socket) text += part;
  assert.deepEqual(text.match(/\/v2\/\d/g), ['/v2/1', '/v2/2', '/v2/3']);
});

test('an answer is read to its end by a slow client', async (t) => {
  const bytes = randomBytes(3_000_000);
  const { open, host } = await setUp(t, (_, response) => void response.end(bytes));
  const request = begin(await open(), { path: '/v2/x', headers: { Host: host } });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  for (let turns = 0; turns < 50; turns += 1) await new Promise(setImmediate);
  assert.ok((await readAnswer(response)).body.equals(bytes));
});
