import assert from 'node:assert/strict';
import { test } from 'node:test';
import { signHashBatch } from '@sealift/bittorrent';
import { BLOCK_LENGTH } from '@sealift/core';
import { nodeIdOf } from '@sealift/testkit';
import { hashOf, type TestBlob, TestCluster, type TestPeer } from './cluster.fixture.ts';
import { RawPeer } from './raw-peer.fixture.ts';

/** A peer that shows what it is told to, serves what it is asked for, and remembers it. */
async function holder(cluster: TestCluster, blob: TestBlob, to: TestPeer, name: string, shows: 'have-all' | number) {
  const credentials = await cluster.credentials(nodeIdOf(name));
  const peer = await RawPeer.dial(to.engine.port, credentials.tls);
  peer.greet(blob.swarmId, credentials.identity.id, await cluster.mint(blob, credentials));
  await peer.opened();
  const requested: number[] = [];
  peer.handle((message) => {
    if (message.type !== 'request') return;
    const { index, begin, length } = message;
    requested.push(index);
    const start = index * blob.geometry.pieceLength + begin;
    peer.send({ type: 'piece', index, begin, block: blob.bytes.subarray(start, start + length) });
  });
  if (shows === 'have-all') peer.send({ type: 'have-all' });
  else peer.send({ type: 'have-none' }, { type: 'have', index: shows });
  return { peer, requested };
}

for (const moment of ['before', 'after'] as const) {
  test(`hashes that come again ${moment} the disk takes a piece make nobody fetch it twice or seem useless`, async (t) => {
    const cluster = await TestCluster.create(t);
    const blob = cluster.blob(2, { tail: 64 * 1024 });
    const blocks = blob.geometry.pieceLength / BLOCK_LENGTH;
    const leecher = await cluster.peer('leecher');
    await leecher.grant(blob);
    const { swarmId, digest, geometry } = blob;
    const { size, pieceLength } = geometry;
    const plain = {
      swarmId,
      digest,
      size,
      pieceLength,
      startedAt: 1,
      firstIndex: 0,
      isComplete: false,
      isWithdrawn: false,
    };
    const hashes = Buffer.concat([hashOf(blob, 0), hashOf(blob, 1)]);
    const batches = [signHashBatch({ ...plain, hashes }, cluster.signer)];
    const swarm = await leecher.engine.download({ ...blob.request, batches });
    swarm.acquire();

    // What went wrong once: the piece is whole, and nobody has heard of it yet.
    const written = Promise.withResolvers<void>();
    const told = Promise.withResolvers<void>();
    const { writePiece } = swarm.blob;
    t.mock.method(swarm.blob, 'writePiece', async (...piece: Parameters<typeof writePiece>) => {
      const write = () => writePiece.apply(swarm.blob, piece);
      const result = moment === 'after' ? await write() : undefined;
      written.resolve();
      await told.promise;
      return result ?? (await write());
    });
    const first = await holder(cluster, blob, leecher, 'first', 0);
    first.peer.send({ type: 'unchoke' });
    await written.promise;
    assert.equal(swarm.blob.bitfield.has(0), moment === 'after');
    const second = await holder(cluster, blob, leecher, 'second', 'have-all');
    await second.peer.next('interested');
    await leecher.engine.download({
      ...blob.request,
      batches: [signHashBatch({ ...plain, hashes, isComplete: true }, cluster.signer)],
    });
    second.peer.send({ type: 'unchoke' });
    told.resolve();
    await swarm.waitForComplete({ signal: t.signal });
    assert.deepEqual(
      first.requested,
      Array.from({ length: blocks }, () => 0),
    );
    assert.deepEqual(
      second.requested,
      Array.from({ length: blocks }, () => 1),
    );
  });
}
