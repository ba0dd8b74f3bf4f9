import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { extendedOf, handshakeOf } from '../../packages/peer/src/raw-peer.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';
import { mallory, setScene } from './mallory.ts';

const tracker = new TestTracker();
before(() => tracker.start());
after(() => tracker.stop());

/** Passes connections on to `port` and keeps what it hears; its own port. */
async function listenIn(t: { after(work: () => void): void }, port: number, heard: Buffer[]): Promise<number> {
  const sockets = new Set<Socket>();
  const relay = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('data', (chunk: Buffer) => heard.push(chunk));
      from.pipe(to);
    }
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  t.after(() => {
    relay.close();
    for (const socket of sockets) socket.destroy();
  });
  return (relay.address() as AddressInfo).port;
}

test('T-01: who listens between two peers hears neither bytes nor grants nor swarm ids nor who they are', async (t) => {
  const { cluster, blob, seeder } = await setScene(t);
  const heard: Buffer[] = [];
  const port = await listenIn(t, seeder.engine.port, heard);
  const leecher = await cluster.peer('leecher');
  const grant = await leecher.grant(blob);
  // From then on the tracker knows what we tell it.
  while (!cluster.tracker.events.some(({ nodeId, left }) => nodeId === seeder.nodeId && left === 0))
    await setImmediate();
  cluster.tracker.add(blob.swarmId, seeder.nodeId, port);
  const swarm = await leecher.engine.download({ ...blob.request, batches: [] });
  const release = swarm.acquire();
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  release();
  const all = Buffer.concat(heard);
  assert.ok(all.length > blob.bytes.length, 'the transfer went past the listener');
  const secrets = [
    blob.bytes.subarray(0, 64),
    blob.bytes.subarray(-64),
    Buffer.from(grant.split('.')[2] ?? grant),
    Buffer.from(blob.swarmId, 'hex'),
    Buffer.from('BitTorrent protocol'),
    Buffer.from(leecher.nodeId),
  ];
  for (const [index, secret] of secrets.entries()) assert.equal(all.includes(secret), false, `secret ${index}`);
});

test('T-01: an older TLS is not spoken, by peers or by the tracker', async (t) => {
  const { cluster, seeder, tls } = await setScene(t);
  const ports = [
    [seeder.engine.port, cluster.ca.certificatePem],
    [tracker.tracker.port, tracker.state.clusterInfo.trustAnchors],
  ] as const;
  for (const [port, ca] of ports) {
    const connection = { host: '127.0.0.1', port, ca, cert: tls.certificatePem, key: tls.privateKeyPem };
    const socket = connectTls({ ...connection, maxVersion: 'TLSv1.2', checkServerIdentity: () => undefined });
    await assert.rejects(once(socket, 'secureConnect'), { code: /PROTOCOL_VERSION|ECONNRESET/ });
  }
});

test('T-01: plain text gets no plain answer, from peers or from the tracker', async (t) => {
  const { blob, seeder, mint } = await setScene(t);
  const greeting = Buffer.concat([handshakeOf(blob.swarmId, mallory), extendedOf(await mint())]);
  const texts = [greeting, Buffer.from('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')];
  for (const port of [seeder.engine.port, tracker.tracker.port]) {
    for (const text of texts) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      const received: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => received.push(chunk));
      socket.write(text);
      await new Promise((resolve) => socket.once('close', resolve));
      const answer = Buffer.concat(received);
      // At most a TLS alert (RFC 8446 §6).
      assert.ok(answer.length <= 7 && (answer.length === 0 || answer[0] === 21), answer.toString('latin1'));
    }
  }
});
