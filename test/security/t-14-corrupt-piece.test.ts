import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestCluster } from '../../packages/peer/src/cluster.fixture.ts';
import { RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';
import { mallory } from './mallory.ts';

test('T-14: a node that sends false bytes is cut off, banned and reported, nobody gets them, and the pull goes on', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(6);
  const leecher = await cluster.peer('leecher');
  await leecher.grant(blob);
  const swarm = await leecher.engine.download({ ...blob.request, batches: cluster.batches(blob) });
  const release = swarm.acquire();
  const attacker = await cluster.attacker();
  const dial = async (): Promise<RawPeer> => {
    const peer = await RawPeer.dial(leecher.engine.port, attacker.tls);
    peer.greet(blob.swarmId, mallory, await cluster.mint(blob, attacker));
    return peer;
  };
  const liar = await dial();
  liar.handle((message) => {
    if (message.type === 'have-none') liar.send({ type: 'have-all' }, { type: 'unchoke' });
    if (message.type !== 'request') return;
    const { index, begin, length } = message;
    // One bit in each block.
    const start = index * blob.geometry.pieceLength + begin;
    const block = Buffer.from(blob.bytes.subarray(start, start + length));
    block[0] = (block[0] ?? 0) ^ 1;
    liar.send({ type: 'piece', index, begin, block });
  });
  await liar.closed;
  assert.deepEqual(leecher.reports, [mallory]);
  assert.equal(leecher.store.get(blob.swarmId)?.bitfield.count, 0);
  const again = await dial();
  await again.closed;
  assert.equal(again.receivedBytes, 0);
  await cluster.seeder(blob);
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  const bytes = Buffer.alloc(blob.bytes.length);
  await swarm.blob.read(0, bytes);
  release();
  assert.ok(bytes.equals(blob.bytes));
});
