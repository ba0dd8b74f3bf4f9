import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield, pieceGeometry } from '@sealift/core';
import { type ArrivingBlob, BlobReader } from './blob-reader.ts';

const PIECE = 512 * 1024;
const SIZE = 3 * PIECE + 1000;
const BYTES = Buffer.from(Array.from({ length: SIZE }, (_, index) => (index * 31 + (index >> 8)) & 0xff));
const signal = new AbortController().signal;

/** A swarm whose pieces and completion come when the test says so. */
function fakeSwarm(present: readonly number[]) {
  const geometry = pieceGeometry(SIZE, PIECE);
  const bitfield = new Bitfield(geometry.pieceCount);
  for (const index of present) bitfield.add(index);
  const arrivals = Array.from({ length: geometry.pieceCount }, () => Promise.withResolvers<void>());
  const complete = Promise.withResolvers<void>();
  const waiting: number[] = [];
  const blob = {
    geometry,
    bitfield,
    read: async (offset: number, into: Uint8Array) => {
      BYTES.copy(into, 0, offset, offset + into.length);
    },
  };
  const swarm: ArrivingBlob = {
    blob,
    waitForPiece: async (index) => {
      waiting.push(index);
      if (!bitfield.has(index)) await arrivals[index]?.promise;
    },
    waitForSignedComplete: () => complete.promise,
    setReadPosition: () => {},
    revision: 0,
  };
  const arrive = (index: number): void => {
    bitfield.add(index);
    arrivals[index]?.resolve();
  };
  return { swarm, arrive, complete, waiting };
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const chunk of chunks) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies);
}

test('a whole blob and any range of it come out byte for byte', async () => {
  const { swarm, complete } = fakeSwarm([0, 1, 2, 3]);
  complete.resolve();
  for (const [start, end] of [
    [0, SIZE],
    [0, 1],
    [PIECE - 1, PIECE + 1],
    [100, 2 * PIECE],
    [SIZE - 1, SIZE],
    [7, 7],
  ] as const) {
    assert.ok(
      (await collect(new BlobReader(swarm).read({ start, end }, { signal }))).equals(BYTES.subarray(start, end)),
    );
  }
});

test('bytes that were here before count as cache, those that came meanwhile as peers', async () => {
  const { swarm, arrive, complete } = fakeSwarm([0, 2]);
  const reader = new BlobReader(swarm);
  const whole = collect(reader.read({ start: 0, end: SIZE }, { signal }));
  arrive(1);
  arrive(3);
  complete.resolve();
  assert.ok((await whole).equals(BYTES));
  assert.deepEqual(reader.served, { cache: 2 * PIECE, peers: PIECE + 1000 });
});

test('the last piece is held back until the blob is signed as complete', async () => {
  const { swarm, complete } = fakeSwarm([0, 1, 2, 3]);
  let length = 0;
  const seen = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const chunk of new BlobReader(swarm).read({ start: 0, end: SIZE }, { signal })) {
      length += chunk.length;
      if (length === 3 * PIECE) seen.resolve();
    }
  })();
  await seen.promise;
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  assert.equal(length, 3 * PIECE);
  complete.resolve();
  await reading;
  assert.equal(length, SIZE);
});

test('a blob that proves false at its end never comes out whole', async () => {
  const { swarm, complete } = fakeSwarm([0, 1, 2, 3]);
  complete.reject(new Error('withdrawn'));
  complete.promise.catch(() => {});
  let length = 0;
  await assert.rejects(async () => {
    for await (const chunk of new BlobReader(swarm).read({ start: 0, end: SIZE }, { signal })) length += chunk.length;
  }, /withdrawn/);
  assert.equal(length, 3 * PIECE);
});
