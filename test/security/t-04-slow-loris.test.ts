import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { inTemporaryDirectory } from '../../packages/cli/src/cli-process.fixture.ts';
import { adminSocketPath, NodeAdmin } from '../../packages/cli/src/node-admin.ts';
import { handshakeOf } from '../../packages/peer/src/raw-peer.fixture.ts';
import { connectTo, dial, startProxy, startUpstream, tlsThrough } from '../../packages/proxy/src/proxy.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { mallory, setScene } from './mallory.ts';

/** Deadline of every listener here, in ms. Each client sends a byte ten times in it, so that silence is not what ends it. */
const DEADLINE_MS = 400;
const BYTE_INTERVAL_MS = DEADLINE_MS / 10;

const tracker = new TestTracker({
  limits: { handshakeTimeoutMs: DEADLINE_MS, headersTimeoutMs: DEADLINE_MS, requestTimeoutMs: DEADLINE_MS },
});
before(() => tracker.start());
after(() => tracker.stop());

/** Sends a text byte by byte; resolves when the other side has had enough, which must be long before its end. */
async function drip(t: TestContext, socket: Socket, text: string | Buffer): Promise<void> {
  const bytes = Buffer.from(text);
  let at = 0;
  const timer = setInterval(() => {
    socket.write(bytes.subarray(at, at + 1));
    at += 1;
  }, BYTE_INTERVAL_MS);
  t.after(() => clearInterval(timer));
  socket.on('error', () => {});
  socket.resume();
  if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve));
  clearInterval(timer);
  assert.ok(at > 1 && at < bytes.length, `it was cut off while it sent, after ${at} of ${bytes.length} bytes`);
}

/** The start of a TLS record that promises a ClientHello of 512 bytes (RFC 8446 §5.1), and room. */
const SLOW_HELLO = Buffer.concat([Buffer.from('160301020001 0001fc0303'.replace(' ', ''), 'hex'), Buffer.alloc(500)]);
const SLOW_HEAD = `GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${'x'.repeat(4_000)}`;

async function tcp(t: TestContext, port: number): Promise<Socket> {
  return await dial(t, port);
}

test('T-04: the peer port ends a slow TLS handshake and a slow greeting', async (t) => {
  const { blob, seeder, dial: dialSeeder } = await setScene(t, { limits: { handshakeTimeoutMs: DEADLINE_MS } });
  const greeting = await dialSeeder();
  await Promise.all([
    drip(t, await tcp(t, seeder.engine.port), SLOW_HELLO),
    drip(t, greeting.socket, handshakeOf(blob.swarmId, mallory)),
  ]);
  assert.equal(greeting.receivedBytes, 0);
  // Our end may hear of it first.
  while (seeder.engine.stats.connections + seeder.engine.stats.strangers > 0) await setImmediate();
});

test('T-04: the tracker ends a slow TLS handshake, a slow head and a slow body', async (t) => {
  const open = async (): Promise<Socket> => {
    const ca = tracker.state.clusterInfo.trustAnchors;
    const socket = connectTls({
      host: '127.0.0.1',
      port: tracker.tracker.port,
      ca,
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    return socket;
  };
  const body = await open();
  body.write('POST /v1/enrol HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n');
  await Promise.all([
    drip(t, await tcp(t, tracker.tracker.port), SLOW_HELLO),
    drip(t, await open(), SLOW_HEAD),
    drip(t, body, ' '.repeat(9_999)),
  ]);
});

test('T-04: the proxy ends a slow CONNECT, a slow inner handshake and a slow inner head', async (t) => {
  const upstream = await startUpstream(t, (_, response) => void response.end());
  const proxy = await startProxy(t, { registries: [upstream.config], limits: { headersTimeoutMs: DEADLINE_MS } });
  await Promise.all([
    drip(t, await tcp(t, proxy.port), `CONNECT ${upstream.host} HTTP/1.1\r\nX: ${'x'.repeat(4_000)}`),
    drip(t, await connectTo(t, proxy.port, upstream.host), SLOW_HELLO),
    drip(t, await tlsThrough(t, proxy.port, { target: upstream.host, ca: proxy.interceptCaPem }), SLOW_HEAD),
  ]);
});

test('T-04: the admin socket of a node ends a slow head and a slow body', (t) =>
  inTemporaryDirectory(async (dataDirectory) => {
    const admin = new NodeAdmin({ dataDirectory, status: async () => ({}), timeoutMs: DEADLINE_MS });
    await admin.start();
    const open = () => connect(adminSocketPath(dataDirectory));
    const body = open();
    body.write('POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n');
    await Promise.all([drip(t, open(), SLOW_HEAD), drip(t, body, 'x'.repeat(1_000))]);
    await admin.stop();
  }));
