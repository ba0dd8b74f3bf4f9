import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { parseRepository, parseSwarmId } from '@sealift/core';
import { nodeIdOf } from '@sealift/testkit';
import { pieceOf, type TestBlob, TestCluster, type TestPeer } from './cluster.fixture.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { RawPeer } from './raw-peer.fixture.ts';
import { ShiftedClock } from './registry-seeder.fixture.ts';

const { sleepAfterMs } = DEFAULT_LIMITS;

async function until(isMet: () => boolean): Promise<void> {
  while (!isMet()) await setImmediate();
}

async function ingest(cluster: TestCluster, seeder: TestPeer, blob: TestBlob) {
  await seeder.grant(blob);
  const ingest = await seeder.engine.ingest({ ...blob.request, signer: cluster.signer });
  for (let index = 0; index < blob.geometry.pieceCount; index += 1) await ingest.addPiece(index, pieceOf(blob, index));
  return ingest;
}

/** A seeder whose only blob sleeps. */
async function newScene(t: TestContext, { role = 'seeder' as 'seeder' | 'node' } = {}) {
  const cluster = await TestCluster.create(t);
  const clock = new ShiftedClock();
  const blob = cluster.blob(4);
  const seeder = await cluster.peer('seeder', { role, clock });
  await (await ingest(cluster, seeder, blob)).complete();
  const heard = () => cluster.tracker.events.filter(({ nodeId }) => nodeId === seeder.nodeId);
  await until(() => heard().some(({ left }) => left === 0));
  clock.offsetMs += sleepAfterMs;
  await until(() => seeder.engine.stats.asleep === 1);
  return { cluster, clock, blob, seeder, heard };
}

async function pull(t: TestContext, peer: TestPeer, blob: TestBlob): Promise<void> {
  await peer.grant(blob);
  const swarm = await peer.engine.download({ ...blob.request, batches: [] });
  swarm.acquire();
  await swarm.waitForComplete({ signal: t.signal });
}

test('a blob that nobody needs sleeps, wakes for a peer that dials, and sleeps again', async (t) => {
  const { cluster, clock, blob, seeder, heard } = await newScene(t);
  assert.equal(seeder.engine.swarm(blob.swarmId), undefined);
  assert.ok(seeder.engine.isJoined(blob.swarmId));
  assert.ok(heard().every(({ event }) => event !== 'stopped'));
  await pull(t, await cluster.peer('leecher'), blob);
  assert.deepEqual([seeder.engine.stats.swarms, seeder.engine.stats.asleep], [1, 0]);
  await until(() => seeder.engine.stats.connections === 0);
  clock.offsetMs += sleepAfterMs;
  await until(() => seeder.engine.stats.asleep === 1);
});

test('a blob that sleeps goes on being announced, and the tracker hears when its node ends', async (t) => {
  const { clock, seeder, heard } = await newScene(t, { role: 'node' });
  const before = heard().length;
  clock.offsetMs += 120_000;
  await until(() => heard().length > before);
  assert.deepEqual([heard().at(-1)?.event, heard().at(-1)?.left], [undefined, 0]);
  await seeder.stop();
  assert.equal(heard().at(-1)?.event, 'stopped');
});

test('nobody wakes a blob without a right to it', async (t) => {
  const { cluster, blob, seeder } = await newScene(t);
  const mallory = await cluster.attacker();
  const { registry } = blob.request.blob;
  const provenBefore = (Math.floor(Date.now() / 1000) + 1) * 1000;
  const revocation = { registry, repository: parseRepository('team/app'), provenBefore };
  await seeder.grant(blob, { authTime: provenBefore });
  cluster.tracker.deny = { version: 1, nodeIds: [nodeIdOf('denied')], revocations: [revocation] };
  seeder.engine.takeDenyList(cluster.tracker.deny);
  const denied = await cluster.credentials(nodeIdOf('denied'));
  const attempts = [
    { by: mallory, grant: undefined },
    { by: mallory, grant: await cluster.mint(blob, mallory, { authTime: provenBefore - 1_000 }) },
    { by: mallory, grant: await cluster.mint(cluster.blob(4, { seed: 2 }), mallory) },
    { by: denied, grant: await cluster.mint(blob, denied, { authTime: provenBefore }) },
  ];
  for (const { by, grant } of attempts) {
    const peer = await RawPeer.dial(seeder.engine.port, by.tls);
    peer.greet(blob.swarmId, by.identity.id, grant);
    await peer.closed;
    assert.equal(peer.receivedBytes, 0);
  }
  assert.equal(seeder.engine.stats.asleep, 1);
});

test('without a grant of its own a node lets nobody wake a blob, and offers it again with the next grant', async (t) => {
  const { cluster, blob, seeder } = await newScene(t, { role: 'node' });
  seeder.revoke(blob);
  const other = await cluster.credentials(nodeIdOf('other'));
  const peer = await RawPeer.dial(seeder.engine.port, other.tls);
  peer.greet(blob.swarmId, other.identity.id, await cluster.mint(blob, other));
  await peer.closed;
  assert.deepEqual([peer.receivedBytes, seeder.engine.stats.asleep], [0, 1]);
  await seeder.grant(blob);
  assert.equal(seeder.engine.stats.asleep, 1);
  await pull(t, await cluster.peer('leecher'), blob);
});

test('what is read, fed or public stays awake', async (t) => {
  const { cluster, clock, blob, seeder, heard } = await newScene(t);
  const [read, fed, open] = [2, 3, 4].map((seed) => cluster.blob(2, { seed })) as [TestBlob, TestBlob, TestBlob];
  await (await ingest(cluster, seeder, read)).complete();
  await ingest(cluster, seeder, fed);
  await (await ingest(cluster, seeder, open)).complete();
  const release = seeder.engine.swarm(read.swarmId)?.acquire();
  // The answers to these say that it is not public.
  await until(() => heard().filter(({ event }) => event === 'completed').length === 3);
  seeder.engine.swarm(open.swarmId)?.setPublic(parseSwarmId('ab'.repeat(20)), 3_600_000);
  await seeder.engine.awake(blob.swarmId);
  clock.offsetMs += sleepAfterMs;
  await until(() => seeder.engine.stats.asleep === 1);
  assert.equal(seeder.engine.swarm(blob.swarmId), undefined);
  for (const { swarmId } of [read, fed, open]) assert.ok(seeder.engine.swarm(swarmId));
  release?.();
  clock.offsetMs += sleepAfterMs;
  await until(() => seeder.engine.stats.asleep === 2);
});

test('a blob that is left while it sleeps is not offered any more', async (t) => {
  const { cluster, blob, seeder, heard } = await newScene(t);
  await seeder.engine.leave(blob.swarmId);
  assert.equal(heard().at(-1)?.event, 'stopped');
  assert.ok(!seeder.engine.isJoined(blob.swarmId));
  assert.equal(await seeder.engine.awake(blob.swarmId), undefined);
  const other = await cluster.credentials(nodeIdOf('other'));
  const peer = await RawPeer.dial(seeder.engine.port, other.tls);
  peer.greet(blob.swarmId, other.identity.id, await cluster.mint(blob, other));
  await peer.closed;
  assert.equal(peer.receivedBytes, 0);
});
