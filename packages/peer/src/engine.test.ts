import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type TestBlob, TestCluster, type TestPeer } from './cluster.fixture.ts';

async function download(peer: TestPeer, blob: TestBlob) {
  await peer.grant(blob);
  const swarm = await peer.engine.download({ ...blob.request, batches: [] });
  swarm.acquire();
  return swarm;
}

async function bytesOf(peer: TestPeer, blob: TestBlob): Promise<Buffer> {
  const bytes = Buffer.alloc(blob.bytes.length);
  await peer.store.get(blob.swarmId)?.read(0, bytes);
  return bytes;
}

test('a leecher gets the whole blob from a seeder', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(40);
  await cluster.seeder(blob);
  const leecher = await cluster.peer('leecher');
  const swarm = await download(leecher, blob);
  await swarm.waitForComplete({ signal: t.signal });
  assert.deepEqual(await bytesOf(leecher, blob), blob.bytes);
});
