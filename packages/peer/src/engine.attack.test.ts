import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { connect } from 'node:tls';
import { encodeMessage } from '@sealift/bittorrent';
import { BLOCK_LENGTH } from '@sealift/core';
import { peerClientContext, peerConnectOptions } from '@sealift/pki';
import { HOSTILE_KINDS, HostileCertificates, nodeIdOf } from '@sealift/testkit';
import { type TestBlob, TestCluster, type TestPeer } from './cluster.fixture.ts';
import { extendedOf, handshakeOf, RawPeer } from './raw-peer.fixture.ts';

const mallory = nodeIdOf('mallory');
const request = encodeMessage({ type: 'request', index: 0, begin: 0, length: BLOCK_LENGTH });

/** What an attacker of this cluster has to work with: a valid certificate, and whatever grants the test mints. */
async function scene(cluster: TestCluster): Promise<{ blob: TestBlob; seeder: TestPeer }> {
  const blob = cluster.blob(4);
  return { blob, seeder: await cluster.seeder(blob) };
}

/** Each is an honest greeting but for one point, so it can fail for one reason only. */
const greetings: Record<string, (cluster: TestCluster, blob: TestBlob, peer: RawPeer) => Promise<void>> = {
  'no grant': async (_cluster, blob, peer) => peer.greet(blob.swarmId, mallory, undefined),
  'a grant that has ended': async (cluster, blob, peer) => {
    peer.greet(blob.swarmId, mallory, await mint(cluster, blob, { expiresAt: Date.now() - 5_000 }));
  },
  'a grant for another swarm': async (cluster, blob, peer) => {
    peer.greet(blob.swarmId, mallory, await mint(cluster, cluster.blob(3, { seed: 2 })));
  },
  'a grant of another node': async (cluster, blob, peer) => {
    peer.greet(blob.swarmId, mallory, await mint(cluster, blob, { nodeId: nodeIdOf('alice') }));
  },
  'a grant that is bound to another certificate': async (cluster, blob, peer) => {
    peer.greet(blob.swarmId, mallory, await mint(cluster, blob, { x5tS256: 'A'.repeat(43) }));
  },
  'a grant with a broken signature': async (cluster, blob, peer) => {
    const grant = await mint(cluster, blob);
    const flipped = grant.at(-10) === 'A' ? 'B' : 'A';
    peer.greet(blob.swarmId, mallory, `${grant.slice(0, -10)}${flipped}${grant.slice(-9)}`);
  },
  'a swarm that is not joined here': async (cluster, _blob, peer) => {
    const other = cluster.blob(3, { seed: 2 });
    peer.greet(other.swarmId, mallory, await mint(cluster, other));
  },
  'the peer id of another node': async (cluster, blob, peer) => {
    peer.greet(blob.swarmId, nodeIdOf('alice'), await mint(cluster, blob));
  },
  'a request in place of the grant': async (_cluster, blob, peer) =>
    peer.write(handshakeOf(blob.swarmId, mallory), request),
  'a request between handshake and grant': async (cluster, blob, peer) => {
    peer.write(handshakeOf(blob.swarmId, mallory), request, extendedOf(await mint(cluster, blob)));
  },
  'a request with the grant, before it can have been verified': async (cluster, blob, peer) => {
    peer.write(handshakeOf(blob.swarmId, mallory), extendedOf(await mint(cluster, blob)), request);
  },
  'another protocol': async (_cluster, _blob, peer) => peer.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'.repeat(10))),
  'an extended handshake above the limit': async (_cluster, blob, peer) => {
    peer.write(handshakeOf(blob.swarmId, mallory), Buffer.from('ffffffff1400', 'hex'), Buffer.alloc(100_000));
  },
  'an empty frame in place of the grant': async (_cluster, blob, peer) => {
    peer.write(handshakeOf(blob.swarmId, mallory), Buffer.alloc(4));
  },
};

async function mint(
  cluster: TestCluster,
  blob: TestBlob,
  change: Parameters<TestCluster['mint']>[2] = {},
): Promise<string> {
  return await cluster.mint(blob, await cluster.attacker(), change);
}

test('without a right there is not one byte, whatever the greeting says', async (t) => {
  const cluster = await TestCluster.create(t);
  const { blob, seeder } = await scene(cluster);
  const { tls } = await cluster.attacker();
  for (const [name, greet] of Object.entries(greetings)) {
    await t.test(`a greeting with ${name} is closed without an answer`, async () => {
      const peer = await RawPeer.dial(seeder.engine.port, tls);
      await greet(cluster, blob, peer);
      await peer.closed;
      assert.equal(peer.receivedBytes, 0);
    });
  }
  await t.test('the same attacker with a right gets an answer', async () => {
    const peer = await RawPeer.dial(seeder.engine.port, tls);
    peer.greet(blob.swarmId, mallory, await mint(cluster, blob));
    await peer.opened();
    peer.socket.destroy();
  });
});

test('a certificate that does not prove a node of this cluster gets not one byte', async (t) => {
  const cluster = await TestCluster.create(t);
  const { blob, seeder } = await scene(cluster);
  const hostile = new HostileCertificates({ ca: cluster.ca });
  for (const kind of HOSTILE_KINDS) {
    await t.test(`a certificate of kind ${kind} is refused`, async () => {
      const material = await hostile.material(kind);
      // Bound to this very certificate, so that the grant is beyond reproach.
      const { raw } = new X509Certificate(material.certificatePem);
      const x5tS256 = createHash('sha256').update(raw).digest('base64url');
      const peer = await RawPeer.dial(seeder.engine.port, material);
      peer.greet(blob.swarmId, mallory, await mint(cluster, blob, { x5tS256 }));
      await peer.closed;
      assert.equal(peer.receivedBytes, 0);
    });
  }
});

test('a connection without a certificate gets not one byte', async (t) => {
  const cluster = await TestCluster.create(t);
  const { blob, seeder } = await scene(cluster);
  const grant = await mint(cluster, blob);
  const socket = connect({
    host: '127.0.0.1',
    port: seeder.engine.port,
    ca: cluster.ca.certificatePem,
    checkServerIdentity: () => undefined,
  });
  socket.on('error', () => {});
  let received = 0;
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  socket.write(Buffer.concat([handshakeOf(blob.swarmId, mallory), extendedOf(grant)]));
  await new Promise((resolve) => socket.once('close', resolve));
  assert.equal(received, 0);
});

test('no session can be resumed, with or without a certificate', async (t) => {
  const cluster = await TestCluster.create(t);
  const { blob, seeder } = await scene(cluster);
  const { tls } = await cluster.attacker();
  const first = await RawPeer.dial(seeder.engine.port, tls);
  let ticket: Buffer | undefined;
  first.socket.on('session', (session) => {
    ticket = session;
  });
  first.greet(blob.swarmId, mallory, await mint(cluster, blob));
  await first.opened();
  first.socket.destroy();
  const options = { ...peerConnectOptions(peerClientContext(tls)), host: '127.0.0.1', port: seeder.engine.port };
  const second = connect({ ...options, ...(ticket === undefined ? {} : { session: ticket }) });
  second.on('error', () => {});
  await once(second, 'secureConnect');
  assert.equal(second.isSessionReused(), false);
  second.destroy();
});

/** Each is what a peer with every right does wrong once the session is open. */
const abuses: Record<string, (peer: RawPeer, blob: TestBlob) => void> = {
  'a frame above the limit': (peer) => peer.write(Buffer.from('7fffffff', 'hex'), Buffer.alloc(1_000)),
  'a length whose sign bit is set': (peer) => peer.write(Buffer.from('80000000', 'hex')),
  'a request above 16 KiB': (peer) => peer.write(Buffer.from('0000000d06000000000000000000008000', 'hex')),
  'a request beyond the end of its piece': (peer, { geometry }) =>
    peer.send({ type: 'have-none' }, { type: 'request', index: 0, begin: geometry.pieceLength, length: BLOCK_LENGTH }),
  'a request for a piece that does not exist': (peer) =>
    peer.send({ type: 'have-none' }, { type: 'request', index: 4_000_000_000, begin: 0, length: BLOCK_LENGTH }),
  'a request before its bitfield': (peer) => peer.write(request),
  'a second bitfield': (peer) => peer.send({ type: 'have-none' }, { type: 'have-all' }),
  'a bitfield of a wrong length': (peer) => peer.send({ type: 'bitfield', bytes: new Uint8Array(64) }),
  'a bitfield with a spare bit': (peer) => peer.send({ type: 'bitfield', bytes: Uint8Array.of(0x0f) }),
  'a have of a piece that does not exist': (peer) => peer.send({ type: 'have-none' }, { type: 'have', index: 4 }),
  'a block that nobody asked for': (peer) =>
    peer.send({ type: 'have-all' }, { type: 'piece', index: 0, begin: 0, block: new Uint8Array(BLOCK_LENGTH) }),
  'a reject of nothing': (peer) =>
    peer.send({ type: 'have-none' }, { type: 'reject', index: 0, begin: 0, length: BLOCK_LENGTH }),
  'hashes that nobody signed': (peer) => peer.send({ type: 'extended', id: 1, payload: new Uint8Array(177) }),
  'progress of a wrong length': (peer) => peer.send({ type: 'extended', id: 2, payload: new Uint8Array(7) }),
  'an extended message that does not exist': (peer) =>
    peer.send({ type: 'extended', id: 9, payload: new Uint8Array(7) }),
  'a new grant that is none': (peer) => peer.write(extendedOf('a.b.c')),
  'an extended handshake without a grant': (peer) => peer.write(extendedOf(undefined)),
  'more requests than are queued': (peer) => {
    const requests = Array.from({ length: 2_600 }, () => request);
    peer.write(encodeMessage({ type: 'have-none' }), encodeMessage({ type: 'interested' }), ...requests);
  },
  'a flood of messages to no purpose': (peer) => {
    peer.send({ type: 'have-none' }, ...Array.from({ length: 2_100 }, () => ({ type: 'suggest', index: 0 }) as const));
  },
};

test('a peer with every right that breaks the rules is cut off, and gets no block', async (t) => {
  const cluster = await TestCluster.create(t);
  const { blob, seeder } = await scene(cluster);
  const { tls } = await cluster.attacker();
  for (const [name, abuse] of Object.entries(abuses)) {
    await t.test(`${name} ends the connection`, async () => {
      const peer = await RawPeer.dial(seeder.engine.port, tls);
      peer.greet(blob.swarmId, mallory, await mint(cluster, blob));
      await peer.opened();
      abuse(peer, blob);
      await peer.closed;
      assert.equal(peer.payloadBytes, 0);
    });
  }
});

test('a holder of a grant to seed is served nothing', async (t) => {
  const cluster = await TestCluster.create(t);
  const { blob, seeder } = await scene(cluster);
  const { tls } = await cluster.attacker();
  const peer = await RawPeer.dial(seeder.engine.port, tls);
  peer.greet(blob.swarmId, mallory, await mint(cluster, blob, { use: 'seed' }));
  await peer.opened();
  peer.send({ type: 'have-none' }, { type: 'interested' });
  peer.write(request);
  await peer.closed;
  assert.equal(peer.payloadBytes, 0);
  assert.equal(
    peer.messages.some(({ type }) => type === 'unchoke'),
    false,
  );
});

test('a piece that was not shown to a peer is not sent to it', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const seeder = await cluster.peer('seeder', { role: 'seeder' });
  await seeder.grant(blob);
  await seeder.engine.ingest({ ...blob.request, signer: cluster.signer });
  const { tls } = await cluster.attacker();
  const peer = await RawPeer.dial(seeder.engine.port, tls);
  peer.greet(blob.swarmId, mallory, await mint(cluster, blob));
  peer.send({ type: 'have-none' }, { type: 'interested' });
  await peer.next('unchoke');
  peer.write(request);
  assert.deepEqual(await peer.next('reject'), { type: 'reject', index: 0, begin: 0, length: BLOCK_LENGTH });
  peer.socket.destroy();
});

test('whoever does not finish its greeting is cut off in time, and makes no place for others scarce', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const limits = { handshakeTimeoutMs: 300, maxPendingHandshakesPerAddress: 4 };
  const seeder = await cluster.seeder(blob, { limits });
  const { tls } = await cluster.attacker();
  const slow = await RawPeer.dial(seeder.engine.port, tls);
  slow.write(handshakeOf(blob.swarmId, mallory).subarray(0, 40));
  const silent = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const socket = connectTcp(seeder.engine.port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'close');
    }),
  );
  await slow.closed;
  assert.equal(silent.length, 8);
  assert.equal(slow.receivedBytes, 0);
  const leecher = await cluster.peer('leecher');
  await leecher.grant(blob);
  const swarm = await leecher.engine.download({ ...blob.request, batches: [] });
  await swarm.waitForComplete({ signal: t.signal });
});

test('a dialled node whose certificate is not that of the tracker gets no grant to see', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const seeder = await cluster.seeder(blob);
  const tracker = cluster.tracker;
  await seeder.engine.leave(blob.swarmId);
  tracker.add(blob.swarmId, nodeIdOf('alice'), seeder.engine.port);
  const leecher = await cluster.peer('leecher', { limits: { lonelyStallTimeoutMs: 400, stallTimeoutMs: 400 } });
  await leecher.grant(blob);
  const swarm = await leecher.engine.download({ ...blob.request, batches: [] });
  await assert.rejects(swarm.waitForComplete({ signal: t.signal }), { code: 'SWARM_STALLED' });
  assert.equal(leecher.engine.stats.connections, 0);
});
