import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createContentVerifier, type HashBatch, signHashBatch } from '@sealift/bittorrent';
import { silentLogger } from '@sealift/core';
import { hashOf, type TestBlob, TestCluster } from './cluster.fixture.ts';
import { HashKeeper } from './hash-keeper.ts';

const NOW = 1_800_000_000_000;

function record(cluster: TestCluster, blob: TestBlob, index: number, change: Partial<HashBatch> = {}) {
  const { swarmId, digest, geometry } = blob;
  const { size, pieceLength } = geometry;
  const batch = {
    swarmId,
    digest,
    size,
    pieceLength,
    startedAt: NOW,
    firstIndex: index,
    isComplete: false,
    isWithdrawn: false,
  };
  return signHashBatch({ ...batch, hashes: hashOf(blob, index), ...change }, cluster.signer);
}

async function scene(t: Parameters<typeof TestCluster.create>[0]) {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(3);
  const { store } = await cluster.peer('keeper');
  const stored = await store.create(blob.request);
  const verifier = createContentVerifier(cluster.info.contentKeys);
  const open = () => new HashKeeper({ blob: stored, verifier: () => verifier, log: silentLogger });
  return { cluster, blob, stored, open };
}

test('a batch is news once, is kept, and is there again after a restart', async (t) => {
  const { cluster, blob, open } = await scene(t);
  const keeper = open();
  const batch = record(cluster, blob, 1);
  assert.equal(keeper.take(batch)?.batch.firstIndex, 1);
  assert.equal(keeper.take(batch), undefined);
  assert.equal(keeper.take(record(cluster, blob, 1)), undefined, 'the same hash under another signature');
  await keeper.settled();
  assert.deepEqual(open().records, [batch]);
});

test('batches gather in memory, and reach the disk together and in order', async (t) => {
  const { cluster, blob, stored, open } = await scene(t);
  const keeper = open();
  const batches = [2, 0].map((index) => record(cluster, blob, index));
  for (const batch of batches) keeper.take(batch);
  assert.deepEqual(keeper.records, batches, 'those who come are told at once');
  assert.deepEqual(stored.hashRecords, []);
  keeper.flush();
  await keeper.settled();
  assert.deepEqual(stored.hashRecords, batches);
  keeper.flush();
  await keeper.settled();
  assert.deepEqual(open().records, batches, 'and once');
});

test('the final list takes the place of one batch a piece', async (t) => {
  const { cluster, blob, open } = await scene(t);
  const keeper = open();
  for (const index of [0, 1, 2]) keeper.take(record(cluster, blob, index));
  const [final] = cluster.batches(blob) as [Buffer];
  assert.equal(keeper.take(final)?.batch.isComplete, true);
  await keeper.settled();
  assert.deepEqual(keeper.records, [final]);
  assert.deepEqual(open().records, [final]);
  assert.equal(open().list.isComplete, true);
});

test('a batch that nobody of the cluster signed, or that contradicts another, is refused and not kept', async (t) => {
  const { cluster, blob, open } = await scene(t);
  const keeper = open();
  const forged = record(cluster, blob, 0);
  forged[100] = (forged[100] ?? 0) ^ 1;
  assert.throws(() => keeper.take(forged), { code: 'HASH_BATCH_INVALID' });
  keeper.take(record(cluster, blob, 0));
  const second = record(cluster, blob, 0, { hashes: Buffer.alloc(32) });
  assert.throws(() => keeper.take(second), { code: 'HASH_BATCH_INVALID' });
  await keeper.settled();
  assert.equal(keeper.records.length, 1);
});

test('a newer ingest takes the place of what an older one has signed, on the disk too', async (t) => {
  const { cluster, blob, open } = await scene(t);
  const keeper = open();
  keeper.take(record(cluster, blob, 0));
  keeper.take(record(cluster, blob, 1));
  const begin = record(cluster, blob, 0, { startedAt: NOW + 1, hashes: Buffer.alloc(0) });
  const other = record(cluster, blob, 0, { startedAt: NOW + 1, hashes: Buffer.alloc(32, 7) });
  keeper.take(begin);
  assert.deepEqual(keeper.take(other)?.replaced, [0]);
  assert.equal(keeper.take(record(cluster, blob, 2)), undefined, 'a replay');
  await keeper.settled();
  assert.deepEqual(keeper.records, [begin, other]);
  assert.deepEqual(open().records, [begin, other]);
  assert.equal(open().take(record(cluster, blob, 2)), undefined, 'a replay after a restart');
});

test('the disk hears of a batch only after what it puts in doubt is settled', async (t) => {
  const { cluster, blob, open, stored } = await scene(t);
  const keeper = open();
  const settling = Promise.withResolvers<void>();
  keeper.take(record(cluster, blob, 0), () => settling.promise);
  const settled = keeper.settled();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stored.hashRecords.length, 0);
  settling.resolve();
  await settled;
  assert.equal(stored.hashRecords.length, 1);
});

test('final batches that come after the list is whole are kept once, and then no more', async (t) => {
  const { cluster, blob, open } = await scene(t);
  const keeper = open();
  keeper.take(cluster.batches(blob, NOW)[0] as Buffer);
  assert.equal(keeper.take(cluster.batches(blob, NOW)[0] as Buffer), undefined);
  assert.equal(keeper.records.length, 1);
});
