import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { before, type TestContext, test } from 'node:test';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { parseClusterId, systemClock } from '@sealift/core';
import { HostileCertificates } from '@sealift/testkit';
import { SwarmCa } from './swarm-ca.ts';
import type { TlsMaterial } from './tls-material.ts';
import { trackerServerOptions } from './tracker-tls.ts';
import { fetchTrustAnchor } from './trust-anchor.ts';

const clusterId = parseClusterId('alpha');
let ca: SwarmCa;
let tracker: TlsMaterial;

before(async () => {
  ca = await SwarmCa.create({ clusterId });
  tracker = await new HostileCertificates({ ca }).material('valid', { role: 'tracker' });
});

async function listen(t: TestContext, server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function listenTls(t: TestContext, options: TlsOptions): Promise<string> {
  return listen(
    t,
    createTlsServer(options, (socket) => socket.on('error', () => {})),
  );
}

test('the CA that the fingerprint names is fetched, and no byte is sent', async (t) => {
  const server = createTlsServer(trackerServerOptions(tracker));
  let receivedBytes = 0;
  const ended = new Promise<void>((resolve) => {
    // The client may be gone before the server knows that the handshake is done.
    server.on('tlsClientError', () => resolve());
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {}).on('close', () => resolve());
      socket.on('data', (chunk) => {
        receivedBytes += chunk.length;
      });
    });
  });
  const origin = await listen(t, server);
  const anchor = await fetchTrustAnchor({ origin, fingerprint: ca.fingerprint }, { signal: t.signal });
  assert.equal(anchor, ca.certificatePem);
  await ended;
  assert.equal(receivedBytes, 0);
});

test('during a rotation either fingerprint leads to the CA of the leaf', async (t) => {
  const next = await SwarmCa.create({ clusterId, generation: 2 });
  const trustAnchors = ca.certificatePem + next.certificatePem;
  const voucher = await next.vouchFor(ca, { ttlMs: 60_000 });
  const chain = ca.certificatePem + voucher + next.certificatePem;
  const origin = await listenTls(t, trackerServerOptions({ ...tracker, trustAnchors, chain }));
  const fetched = (fingerprint: string): Promise<string> =>
    fetchTrustAnchor({ origin, fingerprint }, { signal: t.signal });
  assert.equal(await fetched(ca.fingerprint), ca.certificatePem);
  assert.equal(await fetched(next.fingerprint), next.certificatePem + ca.certificatePem);
});

test('a CA is not trusted because of a voucher that is over, of another key, or missing', async (t) => {
  const next = await SwarmCa.create({ clusterId, generation: 2 });
  const namesake = await SwarmCa.create({ clusterId });
  const over = await next.vouchFor(ca, { ttlMs: 60_000 });
  const vouchers = [
    { name: 'over', voucher: over, clock: { now: () => Date.now() + 60_001 } },
    { name: 'of another key', voucher: await next.vouchFor(namesake, { ttlMs: 60_000 }), clock: systemClock },
    { name: 'by another CA', voucher: await namesake.vouchFor(ca, { ttlMs: 60_000 }), clock: systemClock },
    { name: 'missing', voucher: '', clock: systemClock },
  ];
  for (const { name, voucher, clock } of vouchers) {
    const chain = ca.certificatePem + voucher + next.certificatePem;
    const origin = await listenTls(t, trackerServerOptions({ ...tracker, chain }));
    const fetched = fetchTrustAnchor({ origin, fingerprint: next.fingerprint }, { signal: t.signal, clock });
    await assert.rejects(fetched, { code: 'TRUST_ANCHOR_MISMATCH' }, name);
  }
});

test('a tracker that shows another CA is refused', async (t) => {
  const origin = await listenTls(t, trackerServerOptions(tracker));
  const fingerprint = `sha256:${'0'.repeat(64)}`;
  await assert.rejects(fetchTrustAnchor({ origin, fingerprint }, { signal: t.signal }), {
    code: 'TRUST_ANCHOR_MISMATCH',
  });
});

test('a tracker that shows no CA at all is refused', async (t) => {
  const origin = await listenTls(t, { cert: tracker.certificatePem, key: tracker.privateKeyPem });
  await assert.rejects(fetchTrustAnchor({ origin, fingerprint: ca.fingerprint }, { signal: t.signal }), {
    code: 'TRUST_ANCHOR_MISMATCH',
  });
});

test('whoever appends the right CA to a certificate that is not of it is refused', async (t) => {
  for (const kind of ['other-ca', 'forged'] as const) {
    const impostor = await new HostileCertificates({ ca }).material(kind, { role: 'tracker' });
    const origin = await listenTls(t, trackerServerOptions(impostor));
    await assert.rejects(fetchTrustAnchor({ origin, fingerprint: ca.fingerprint }, { signal: t.signal }), {
      code: 'TRUST_ANCHOR_MISMATCH',
    });
  }
});

test('a tracker that accepts and says nothing costs no more than the deadline', async (t) => {
  const origin = await listen(t, createTcpServer());
  await assert.rejects(fetchTrustAnchor({ origin, fingerprint: ca.fingerprint }, { signal: t.signal, timeoutMs: 50 }), {
    code: 'TRACKER_UNAVAILABLE',
  });
});

test('the caller can end the wait', async (t) => {
  const server = createTcpServer();
  const origin = await listen(t, server);
  const abort = new AbortController();
  server.once('connection', () => abort.abort());
  const { signal } = abort;
  await assert.rejects(fetchTrustAnchor({ origin, fingerprint: ca.fingerprint }, { signal }), {
    code: 'TRACKER_UNAVAILABLE',
  });
});

test('a port where nobody listens, or that does not speak TLS, is an unavailable tracker', async (t) => {
  const silent = createTcpServer();
  const closed = await listen(t, silent);
  silent.close();
  const plain = await listen(
    t,
    createTcpServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  );
  for (const origin of [closed, plain]) {
    await assert.rejects(fetchTrustAnchor({ origin, fingerprint: ca.fingerprint }, { signal: t.signal }), {
      code: 'TRACKER_UNAVAILABLE',
    });
  }
});
