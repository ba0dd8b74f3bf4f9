import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { encodeHandshake, encodeMessage, peerIdOf } from '@sealift/bittorrent';
import { BLOCK_LENGTH, parseSwarmId, type SwarmId } from '@sealift/core';
import { pieceOf, type TestBlob, TestCluster, type TestPeer } from './cluster.fixture.ts';
import { extendedOf, RawPeer } from './raw-peer.fixture.ts';

/** The name of the public swarm for stock clients. */
const INFO_HASH = parseSwarmId('ab'.repeat(20));
const INTERVAL_MS = 60_000;
const limits = { handshakeTimeoutMs: 300 };

interface Scene {
  readonly cluster: TestCluster;
  readonly open: TestBlob;
  readonly closed: TestBlob;
  readonly seeder: TestPeer;
}

/** A seeder that holds two blobs, of which the swarm of one is public. */
async function newScene(t: TestContext): Promise<Scene> {
  const cluster = await TestCluster.create(t);
  const [open, closed] = [cluster.blob(3), cluster.blob(3, { seed: 2 })];
  const seeder = await cluster.seeder(open, { limits });
  await seeder.grant(closed);
  const ingest = await seeder.engine.ingest({ ...closed.request, signer: cluster.signer });
  for (let index = 0; index < closed.geometry.pieceCount; index += 1)
    await ingest.addPiece(index, pieceOf(closed, index));
  await ingest.complete();
  seeder.engine.swarm(open.swarmId)?.setPublic(INFO_HASH, INTERVAL_MS);
  return { cluster, open, closed, seeder };
}

/** Somebody with a certificate of the cluster, and without any grant. */
async function dial({ cluster, seeder }: Scene): Promise<RawPeer> {
  return await RawPeer.dial(seeder.engine.port, (await cluster.attacker()).tls);
}

function bareHandshake(infoHash: SwarmId): Buffer {
  const peerId = Buffer.from('-LT2080-abcdefghijkl');
  return encodeHandshake({ swarmId: infoHash, peerId, supportsExtended: true, supportsFast: true });
}

const request = { type: 'request', index: 0, begin: 0, length: BLOCK_LENGTH } as const;

test('a stock client with a certificate gets the blocks of a public swarm without a grant', async (t) => {
  const scene = await newScene(t);
  const peer = await dial(scene);
  peer.write(bareHandshake(INFO_HASH));
  await peer.opened();
  peer.send({ type: 'have-none' }, { type: 'interested' });
  await peer.next('unchoke');
  const served = new Promise<void>((resolve) => peer.socket.on('data', () => peer.payloadBytes > 0 && resolve()));
  peer.send(request);
  await served;
  assert.equal(peer.payloadBytes, BLOCK_LENGTH);
  peer.socket.destroy();
});

test('a public swarm shows a stock client none of our own messages, and takes none', async (t) => {
  const scene = await newScene(t);
  const peer = await dial(scene);
  peer.write(bareHandshake(INFO_HASH));
  await peer.opened();
  const extended = peer.messages.filter((message) => message.type === 'extended');
  assert.deepEqual(
    extended.map((message) => message.type === 'extended' && message.id),
    [0],
  );
  assert.ok(!JSON.stringify(extended.map((message) => String(Object.values(message)))).includes('sl_'));
  peer.send({ type: 'extended', id: 1, payload: Buffer.alloc(200) });
  await peer.closed;
});

const attacks = [
  { title: 'the id of a closed swarm', id: ({ closed }: Scene) => closed.swarmId },
  { title: 'the own id of the public swarm', id: ({ open }: Scene) => open.swarmId },
  { title: 'a name that nobody knows', id: () => parseSwarmId('cd'.repeat(20)) },
] as const;

for (const { title, id } of attacks) {
  test(`beside a public swarm, a bare handshake with ${title} gets not a byte`, async (t) => {
    const scene = await newScene(t);
    const peer = await dial(scene);
    peer.write(bareHandshake(id(scene)));
    peer.send({ type: 'have-none' }, { type: 'interested' }, request);
    await peer.closed;
    assert.equal(peer.receivedBytes, 0);
  });
}

test('whoever is in a public swarm cannot go over to a closed one on the same connection', async (t) => {
  const scene = await newScene(t);
  const peer = await dial(scene);
  peer.write(bareHandshake(INFO_HASH));
  await peer.opened();
  // Read as a message, its first bytes are a length far above the limit.
  peer.write(bareHandshake(scene.closed.swarmId), extendedOf('a.b.c'));
  await peer.closed;
  assert.equal(peer.payloadBytes, 0);
});

test('a grant for the public swarm opens no closed one, and a greeting with our extensions is judged by its grant', async (t) => {
  const scene = await newScene(t);
  const { cluster, open, closed } = scene;
  const attacker = await cluster.attacker();
  const peer = await dial(scene);
  const { id } = attacker.identity;
  const handshake = encodeHandshake({
    ...{ swarmId: closed.swarmId, peerId: peerIdOf(id), supportsExtended: true, supportsFast: true },
  });
  peer.write(handshake, extendedOf(await cluster.mint(open, attacker)));
  await peer.closed;
  assert.equal(peer.receivedBytes, 0);
});

test('when the tracker says no more that a swarm is public, its grantless connections end and its name means nothing', async (t) => {
  const scene = await newScene(t);
  const peer = await dial(scene);
  peer.write(bareHandshake(INFO_HASH));
  await peer.opened();
  scene.seeder.engine.swarm(scene.open.swarmId)?.setPublic(undefined, INTERVAL_MS);
  await peer.closed;
  const again = await dial(scene);
  again.write(bareHandshake(INFO_HASH));
  await again.closed;
  assert.equal(again.receivedBytes, 0);
});

test('a swarm stays public no longer than two and a half intervals after the tracker said so', async (t) => {
  const scene = await newScene(t);
  scene.seeder.engine.swarm(scene.open.swarmId)?.setPublic(INFO_HASH, 20);
  const peer = await dial(scene);
  peer.write(bareHandshake(INFO_HASH));
  await peer.closed;
  assert.equal(peer.payloadBytes, 0);
  assert.equal(scene.seeder.engine.swarm(scene.open.swarmId)?.publicInfoHash, undefined);
});

test('a stock client may not break the rules of a session either', async (t) => {
  const scene = await newScene(t);
  const peer = await dial(scene);
  peer.write(bareHandshake(INFO_HASH));
  await peer.opened();
  peer.write(encodeMessage({ type: 'have-none' }), encodeMessage({ ...request, index: 99 }));
  await peer.closed;
  assert.equal(peer.payloadBytes, 0);
});
