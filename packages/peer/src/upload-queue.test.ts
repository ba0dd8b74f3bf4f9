import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { type BlockRange, MessageParser } from '@sealift/bittorrent';
import { BLOCK_LENGTH, pieceGeometry } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { UploadBuffers } from './buffer-pools.ts';
import { Pacer } from './pacer.ts';
import { UploadQueue, uploadBufferLength } from './upload-queue.ts';

const BATCH = 4 * BLOCK_LENGTH;
const geometry = pieceGeometry(64 * BLOCK_LENGTH, 16 * BLOCK_LENGTH);
const blob = Buffer.from(Uint8Array.from({ length: geometry.size }, (_, at) => (at * 31 + (at >> 14)) & 0xff));

const unlimited = new Pacer({ clock: new FakeClock(), bytesPerSecond: undefined });

function scene({ maxBuffers = 8, maxBatches = 2, pacer = unlimited } = {}) {
  const buffers = new UploadBuffers({ length: uploadBufferLength(BATCH), max: maxBuffers });
  const reads: { offset: number; into: Uint8Array; done: (error?: Error) => void }[] = [];
  const writes: { bytes: Buffer; done: () => void }[] = [];
  const sent: BlockRange[] = [];
  const failed: BlockRange[] = [];
  const queue = new UploadQueue({
    ...{ geometry, buffers, pacer, batchBytes: BATCH, maxBatches },
    sink: {
      read: (offset, into) =>
        new Promise((resolve, reject) => {
          reads.push({
            offset,
            into,
            done: (error) => {
              into.set(blob.subarray(offset, offset + into.length));
              if (error === undefined) resolve();
              else reject(error);
            },
          });
        }),
      write: (bytes, done) => writes.push({ bytes: Buffer.from(bytes), done }),
      sent: (blocks) => sent.push(...blocks),
      failed: (blocks) => failed.push(...blocks),
    },
  });
  return { buffers, queue, reads, writes, sent, failed };
}

const block = (at: number): BlockRange => ({ index: at >> 4, begin: (at & 15) * BLOCK_LENGTH, length: BLOCK_LENGTH });

function blocksIn(bytes: Buffer): { at: number; isRight: boolean }[] {
  const found: { at: number; isRight: boolean }[] = [];
  let place: Uint8Array;
  const parser = new MessageParser({
    onMessage: () => assert.fail('only blocks'),
    onPieceStart: (_index, _begin, length) => {
      place = new Uint8Array(length);
      return place;
    },
    onPieceEnd: (index, begin, length) => {
      const start = index * geometry.pieceLength + begin;
      found.push({ at: start / BLOCK_LENGTH, isRight: blob.subarray(start, start + length).equals(place) });
    },
  });
  parser.push(bytes);
  return found;
}

test('requests that follow one another are read and written in one go, across pieces too', async () => {
  const { queue, reads, writes } = scene();
  for (const at of [14, 15, 16, 17, 18]) queue.push(block(at));
  await turn();
  assert.deepEqual(
    reads.map(({ offset, into }) => [offset / BLOCK_LENGTH, into.length / BLOCK_LENGTH]),
    [
      [14, 4],
      [18, 1],
    ],
  );
  for (const read of reads) read.done();
  await turn();
  writes[0]?.done();
  assert.deepEqual(
    writes.flatMap(({ bytes }) => blocksIn(bytes)),
    [14, 15, 16, 17, 18].map((at) => ({ at, isRight: true })),
  );
});

test('a block as long as a batch is one by itself', async () => {
  const { queue, reads, writes } = scene();
  const long = { ...block(4), length: BATCH };
  queue.push(block(3));
  queue.push(long);
  await turn();
  assert.deepEqual(
    reads.map(({ offset, into }) => [offset / BLOCK_LENGTH, into.length / BLOCK_LENGTH]),
    [
      [3, 1],
      [4, 4],
    ],
  );
  for (const read of reads) read.done();
  await turn();
  writes[0]?.done();
  assert.deepEqual(
    writes.flatMap(({ bytes }) => blocksIn(bytes)),
    [3, 4].map((at) => ({ at, isRight: true })),
  );
});

test('blocks leave in the order of the requests, whatever the order in which reads finish', async () => {
  const { queue, reads, writes } = scene();
  queue.push(block(9));
  queue.push(block(3));
  await turn();
  reads[1]?.done();
  await turn();
  assert.equal(writes.length, 0);
  reads[0]?.done();
  await turn();
  writes[0]?.done();
  assert.deepEqual(
    writes.flatMap(({ bytes }) => blocksIn(bytes)).map(({ at }) => at),
    [9, 3],
  );
});

test('a socket that does not take bytes gets no second batch, and stops the reading', async () => {
  const { queue, reads, writes } = scene({ maxBatches: 2 });
  for (const at of [0, 10, 20, 30]) queue.push(block(at));
  await turn();
  for (const read of reads.splice(0)) read.done();
  await turn();
  assert.equal(writes.length, 1);
  assert.equal(reads.length, 0);
  writes[0]?.done();
  assert.equal(writes.length, 2);
  assert.equal(reads.length, 1);
});

test('under a limit batches are short, and wait for their turn', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = new FakeClock();
  const pacer = new Pacer({ clock, bytesPerSecond: 40 * BLOCK_LENGTH });
  t.after(() => pacer.stop());
  const { queue, reads } = scene({ pacer, maxBuffers: 16, maxBatches: 16 });
  for (let at = 0; at < 12; at += 1) queue.push(block(at));
  await turn();
  // The burst, and the block that uses it up.
  assert.equal(reads.length, 8);
  assert.ok(reads.every(({ into }) => into.length === BLOCK_LENGTH));
  clock.advance(26);
  t.mock.timers.tick(26);
  assert.equal(reads.length, 9);
  queue.close();
  for (const read of reads) read.done();
});

test('a cancelled block is not sent; one that is being read is', async () => {
  const { queue, reads, sent } = scene({ maxBatches: 1 });
  queue.push(block(0));
  queue.push(block(20));
  await turn();
  assert.equal(queue.cancel(block(0)), false);
  assert.equal(queue.cancel(block(20)), true);
  reads[0]?.done();
  await turn();
  assert.deepEqual(sent, [block(0)]);
});

test('blocks that cannot be read are reported, and the rest goes on', async () => {
  const { queue, reads, failed, sent } = scene();
  queue.push(block(0));
  queue.push(block(20));
  await turn();
  reads[0]?.done(new Error('evicted'));
  reads[1]?.done();
  await turn();
  assert.deepEqual([failed, sent], [[block(0)], [block(20)]]);
});

test('a closed queue gives its buffers back, and writes off those that the socket holds', async () => {
  const { buffers, queue, reads, writes } = scene({ maxBuffers: 2, maxBatches: 2 });
  queue.push(block(0));
  queue.push(block(20));
  await turn();
  reads[0]?.done();
  await turn();
  assert.equal(writes.length, 1);
  queue.close();
  reads[1]?.done();
  await turn();
  writes[0]?.done();
  assert.ok(buffers.take());
  assert.ok(buffers.take());
  assert.equal(buffers.take(), undefined);
});
