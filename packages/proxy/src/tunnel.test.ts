import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { parseRegistryHost } from '@sealift/core';
import { FakeRegistry } from '@sealift/testkit';
import { isIntercepted } from './interception.ts';
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

const REGISTRIES = [{ registry: parseRegistryHost('registry.test:5000') }];

function proxyFor(t: TestContext, options: Partial<ProxyServerOptions> = {}): Promise<TestProxy> {
  return startProxy(t, { registries: REGISTRIES, ...options });
}

/** A plain TCP server that stops with the test; returns its port. */
async function listen(t: TestContext, onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket.on('error', () => {}));
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

test('a host that is no registry shows its own certificate through the tunnel', async (t) => {
  const upstream = await startUpstream(t, (_, response) => void response.end('from the real one'));
  const proxy = await proxyFor(t);
  const socket = await tlsThrough(t, proxy.port, { target: upstream.host, ca: upstream.caPem });
  const { body } = await ask(socket, { path: '/', headers: { Host: upstream.host } });
  assert.equal(body.toString(), 'from the real one');
  const untrusted = { target: upstream.host, ca: proxy.interceptCaPem };
  await assert.rejects(tlsThrough(t, proxy.port, untrusted), { code: /CERT|ISSUER|SIGNATURE/ });
});

test('a registry shows a leaf of the intercept CA, by name and by address', async (t) => {
  const registry = new FakeRegistry();
  await registry.start();
  t.after(() => registry.stop());
  const upstream = await startUpstream(t, (_, response) => void response.end());
  const proxy = await startProxy(t, { registries: [registry.config, upstream.config] });
  for (const target of [registry.host, upstream.host]) {
    const socket = await tlsThrough(t, proxy.port, { target, ca: proxy.interceptCaPem });
    assert.match(socket.getPeerCertificate().issuer.CN?.toString() ?? '', /intercept/);
    assert.equal(socket.alpnProtocol, false);
  }
});

test('a client that offers HTTP/2 as well is given HTTP/1.1', async (t) => {
  const upstream = await startUpstream(t, (_, response) => void response.end());
  const proxy = await startProxy(t, { registries: [upstream.config] });
  const ALPNProtocols = ['h2', 'http/1.1'];
  const socket = await tlsThrough(t, proxy.port, { target: upstream.host, ca: proxy.interceptCaPem, ALPNProtocols });
  assert.equal(socket.alpnProtocol, 'http/1.1');
});

test('without a leaf, a registry is tunnelled instead', async (t) => {
  const upstream = await startUpstream(t, (_, response) => void response.end('direct'));
  const interceptCa = { secureContextFor: () => Promise.reject(new Error('no leaf')) };
  const proxy = await startProxy(t, { registries: [upstream.config], interceptCa });
  const socket = await tlsThrough(t, proxy.port, { target: upstream.host, ca: upstream.caPem });
  assert.equal((await ask(socket, { path: '/', headers: { Host: upstream.host } })).body.toString(), 'direct');
});

test('a tunnel carries both directions, and an end in one of them leaves the other open', async (t) => {
  const bytes = randomBytes(2_000_000);
  const port = await listen(t, async (socket) => {
    const parts: Buffer[] = [];
    for await (const part of socket.iterator({ destroyOnReturn: false })) parts.push(part as Buffer);
    socket.end(Buffer.concat(parts));
  });
  const proxy = await proxyFor(t);
  const socket = await connectTo(t, proxy.port, `127.0.0.1:${port}`);
  socket.end(bytes);
  assert.ok(Buffer.from(await untilEnd(socket), 'latin1').equals(bytes));
});

test('what comes right behind the CONNECT request is not lost', async (t) => {
  const port = await listen(t, (socket) => void socket.pipe(socket));
  const proxy = await proxyFor(t);
  const socket = await dial(t, proxy.port);
  socket.end(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: a\r\n\r\nearly`);
  assert.match(await untilEnd(socket), /200 Connection Established\r\n\r\nearly$/);
});

test('a target that breaks off takes the client along', async (t) => {
  const port = await listen(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  const proxy = await proxyFor(t);
  const socket = await connectTo(t, proxy.port, `127.0.0.1:${port}`);
  socket.write('x');
  await untilEnd(socket);
});

test('a client that breaks off takes the target along', async (t) => {
  const gone = Promise.withResolvers<void>();
  const port = await listen(t, (socket) => {
    socket.resume().once('close', () => gone.resolve());
    socket.once('end', () => socket.end());
  });
  const proxy = await proxyFor(t);
  const socket = await connectTo(t, proxy.port, `127.0.0.1:${port}`);
  socket.resetAndDestroy();
  await gone.promise;
});

test('a tunnel that both sides forget is ended', async (t) => {
  const port = await listen(t, () => {});
  const proxy = await proxyFor(t, { limits: { tunnelIdleTimeoutMs: 20 } });
  const socket = await connectTo(t, proxy.port, `127.0.0.1:${port}`);
  await untilEnd(socket.resume());
});

test('a slow reader at one end holds back the other', async (t) => {
  let written = 0;
  const port = await listen(t, async (socket) => {
    const part = Buffer.alloc(1024 * 1024);
    while (!socket.destroyed && written < 256 * part.length) {
      written += part.length;
      await new Promise<void>((resolve) => socket.write(part, () => resolve()));
    }
  });
  const proxy = await proxyFor(t);
  const socket = await connectTo(t, proxy.port, `127.0.0.1:${port}`);
  socket.pause();
  for (let turns = 0; turns < 300; turns += 1) await new Promise(setImmediate);
  assert.ok(written < 64 * 1024 * 1024, `${written} bytes left the target`);
});

test('a target that cannot be reached is a 502 with the reason', async (t) => {
  const port = await listen(t, () => {});
  const free = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port: unused } = server.address() as AddressInfo;
      server.close(() => resolve(unused));
    });
  });
  assert.notEqual(free, port);
  const proxy = await proxyFor(t);
  const text = await converse(t, proxy.port, `CONNECT 127.0.0.1:${free} HTTP/1.1\r\nHost: a\r\n\r\n`);
  assert.match(text, /^HTTP\/1\.1 502 .*TUNNEL_FAILED.*ECONNREFUSED/s);
});

test('a tunnel to the proxy itself is refused, by address and by name', async (t) => {
  const proxy = await proxyFor(t);
  for (const host of ['127.0.0.1', 'localhost', '127.1', '0x7f000001']) {
    const text = await converse(t, proxy.port, `CONNECT ${host}:${proxy.port} HTTP/1.1\r\nHost: a\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 (?:400 .*CONNECT_TARGET_INVALID|502)/s, host);
  }
});

test('Docker Hub is tunnelled under all of its names, for dockerd would refuse our certificate there', () => {
  for (const name of ['docker.io', 'index.docker.io', 'registry-1.docker.io']) {
    assert.equal(isIntercepted(parseRegistryHost(name)), false);
  }
  assert.equal(isIntercepted(parseRegistryHost('registry.test:5000')), true);
});
