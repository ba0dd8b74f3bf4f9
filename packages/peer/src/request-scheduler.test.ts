import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield, BLOCK_LENGTH, pieceGeometry } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { OutstandingRequests } from './outstanding-requests.ts';
import { Picker } from './picker.ts';
import { RequestScheduler } from './request-scheduler.ts';

const PIECE = 4 * BLOCK_LENGTH;
const limits = { endgameAfterMs: 100, duplicateAfterMs: 1_000, pieceIdleMs: 10_000 };

function scene({ pieceCount = 3, buffers = 10, exclusive = [] as number[], tail = PIECE } = {}) {
  const clock = new FakeClock();
  const geometry = pieceGeometry((pieceCount - 1) * PIECE + tail, PIECE);
  // Never the reader's piece, always the first of equals: the order is plain to see.
  const picker = new Picker({ pieceCount, random: () => 0.5 });
  for (let index = 0; index < pieceCount; index += 1) picker.want(index);
  let left = buffers;
  const scheduler = new RequestScheduler<ReturnType<typeof peerWith>>({
    ...{ geometry, picker, clock, limits },
    takeBuffer: () => {
      if (left === 0) return undefined;
      left -= 1;
      return new ArrayBuffer(PIECE);
    },
    mustBeExclusive: (index) => exclusive.includes(index),
  });
  const peerWith = (indexes: readonly number[]) => {
    const pieces = new Bitfield(pieceCount);
    for (const index of indexes) pieces.add(index);
    return { outstanding: new OutstandingRequests(), handle: picker.addPeer(pieces) };
  };
  const choose = (
    peer: ReturnType<typeof peerWith>,
    blocks: number,
    { isLastStretch = true, blockLength = BLOCK_LENGTH } = {},
  ) => scheduler.choose(peer, peer.handle, blocks * BLOCK_LENGTH, { isLastStretch, blockLength });
  const receive = (peer: ReturnType<typeof peerWith>, index: number, begin: number, length = BLOCK_LENGTH) => {
    const assembly = scheduler.assembly(index);
    const block = { index, begin, length };
    peer.outstanding.settle(block);
    assembly?.unask(block);
    const place = assembly?.begin(block, peer);
    if (place !== undefined) assembly?.end(block, peer, clock.now());
    return place;
  };
  return { clock, picker, scheduler, peerWith, choose, receive, all: Array.from({ length: pieceCount }, (_, i) => i) };
}

test('a started piece is finished before another is started, whoever asks', () => {
  const { peerWith, choose, all } = scene();
  const [a, b] = [peerWith(all), peerWith(all)];
  const first = choose(a, 2);
  const second = choose(b, 2);
  assert.deepEqual(new Set([...first, ...second].map(({ index }) => index)).size, 1);
  assert.deepEqual(
    [...first, ...second].map(({ begin }) => begin / BLOCK_LENGTH),
    [0, 1, 2, 3],
  );
});

test('a short last piece is asked for with a short last block', () => {
  const { peerWith, choose } = scene({ tail: BLOCK_LENGTH + 5 });
  assert.deepEqual(
    choose(peerWith([2]), 8).map(({ length }) => length),
    [BLOCK_LENGTH, 5],
  );
});

test('no piece is started without memory for it, and none is lost by that', () => {
  const { peerWith, choose, all, picker } = scene({ buffers: 1 });
  const peer = peerWith(all);
  assert.equal(choose(peer, 100).length, 4);
  assert.equal(picker.candidateCount, 2);
});

test('what a lost peer was asked for is asked of another', () => {
  const { peerWith, choose, all, scheduler } = scene({ pieceCount: 1 });
  const [a, b] = [peerWith(all), peerWith(all)];
  choose(a, 4);
  assert.deepEqual(choose(b, 4), []);
  scheduler.release(a, a.outstanding.blocks(), { isGone: true });
  assert.equal(choose(b, 4).length, 4);
});

test('at the end, an idle peer is asked for what others owe too long, and no earlier', () => {
  const { peerWith, choose, all, clock } = scene({ pieceCount: 1 });
  const [a, b] = [peerWith(all), peerWith(all)];
  choose(a, 4);
  assert.deepEqual(choose(b, 4), []);
  clock.advance(limits.endgameAfterMs);
  assert.deepEqual(choose(b, 4, { isLastStretch: false }), [], 'more pieces may still become known');
  assert.equal(choose(b, 4).length, 4);
  assert.deepEqual(choose(a, 4), [], 'never the same block of the same peer twice');
});

test('of two answers to one block only one is written', () => {
  const { peerWith, choose, all, clock, receive, scheduler } = scene({ pieceCount: 1 });
  const [a, b] = [peerWith(all), peerWith(all)];
  choose(a, 4);
  clock.advance(limits.endgameAfterMs);
  choose(b, 4);
  const first = { begin: 0, length: BLOCK_LENGTH };
  assert.ok(scheduler.assembly(0)?.begin(first, a));
  assert.equal(scheduler.assembly(0)?.begin(first, b), undefined);
  scheduler.assembly(0)?.abort(first);
  assert.ok(receive(b, 0, 0));
  assert.equal(receive(a, 0, 0), undefined);
});

test('a piece that failed before comes from one peer, and starts over when that peer is lost', () => {
  const { peerWith, choose, all, receive, scheduler } = scene({ pieceCount: 1, exclusive: [0] });
  const [a, b] = [peerWith(all), peerWith(all)];
  choose(a, 2);
  receive(a, 0, 0);
  assert.deepEqual(choose(b, 4), []);
  scheduler.release(a, a.outstanding.blocks(), { isGone: true });
  assert.deepEqual(
    choose(b, 4).map(({ begin }) => begin / BLOCK_LENGTH),
    [0, 1, 2, 3],
  );
  for (const begin of [0, 1, 2, 3]) receive(b, 0, begin * BLOCK_LENGTH);
  const done = scheduler.finish(0);
  assert.equal(done?.isWhole, true);
  assert.deepEqual(new Set(done?.senders), new Set([b]));
});

test('a piece without progress gives its memory back and can be picked again', () => {
  const { peerWith, choose, all, clock, scheduler, picker } = scene({ pieceCount: 1 });
  const peer = peerWith(all);
  choose(peer, 4);
  clock.advance(limits.pieceIdleMs - 1);
  assert.deepEqual(scheduler.dropIdle(), []);
  clock.advance(1);
  assert.equal(scheduler.dropIdle().length, 1);
  assert.equal(picker.candidateCount, 1);
});

test('long blocks leave nothing out, whatever was asked for in short ones before', () => {
  const { peerWith, choose, all, receive, scheduler } = scene({ pieceCount: 1, tail: PIECE - 5 });
  const [slow, fast] = [peerWith(all), peerWith(all)];
  choose(slow, 1);
  const long = choose(fast, 4, { blockLength: 2 * BLOCK_LENGTH });
  assert.deepEqual(
    long.map(({ begin, length }) => [begin / BLOCK_LENGTH, length]),
    [
      [1, BLOCK_LENGTH],
      [2, 2 * BLOCK_LENGTH - 5],
    ],
  );
  receive(slow, 0, 0);
  for (const { begin, length } of long) assert.equal(receive(fast, 0, begin, length)?.length, length);
  assert.equal(scheduler.assembly(0)?.isWhole, true);
  assert.deepEqual(scheduler.assembly(0)?.senders, [slow, fast, fast, fast]);
});

test('what a long block owes is asked of another peer in short ones, and of both answers only one is written', () => {
  const { peerWith, choose, all, clock, receive, scheduler } = scene({ pieceCount: 1 });
  const [a, b] = [peerWith(all), peerWith(all)];
  assert.equal(choose(a, 4, { blockLength: PIECE }).length, 1);
  clock.advance(limits.endgameAfterMs);
  assert.equal(choose(b, 4, { blockLength: PIECE }).length, 4);
  assert.ok(receive(b, 0, BLOCK_LENGTH));
  assert.equal(receive(a, 0, 0, PIECE), undefined, 'a part of it is here from somebody else');
  for (const at of [0, 2, 3]) assert.ok(receive(b, 0, at * BLOCK_LENGTH));
  assert.equal(scheduler.assembly(0)?.isWhole, true);
});

test('a long block that is cut off is asked for anew', () => {
  const { peerWith, choose, all, scheduler } = scene({ pieceCount: 1 });
  const [a, b] = [peerWith(all), peerWith(all)];
  const [long] = choose(a, 4, { blockLength: PIECE });
  assert.ok(long !== undefined && scheduler.assembly(0)?.begin(long, a));
  scheduler.assembly(0)?.abort(long);
  scheduler.release(a, a.outstanding.blocks(), { isGone: true });
  assert.deepEqual(choose(b, 4, { blockLength: PIECE }), [long]);
});
