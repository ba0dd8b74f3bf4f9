import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PieceBuffers, UploadBuffers } from './buffer-pools.ts';

test('no more piece memory is given out than the bound, but what a swarm is owed always is', () => {
  const buffers = new PieceBuffers({ maxBytes: 300 });
  const taken = [1, 2, 3].map(() => buffers.take(100, { isOwed: false }));
  assert.ok(taken.every((buffer) => buffer !== undefined));
  assert.equal(buffers.take(100, { isOwed: false }), undefined);
  assert.ok(buffers.take(100, { isOwed: true }));
});

test('whoever waits for piece memory is called once when some comes back', () => {
  const buffers = new PieceBuffers({ maxBytes: 100 });
  const buffer = buffers.take(100, { isOwed: false }) as ArrayBuffer;
  let calls = 0;
  buffers.wait(() => {
    calls += 1;
  });
  assert.equal(buffers.isShort, true);
  buffers.give(buffer);
  assert.equal(buffers.take(100, { isOwed: false }), buffer);
  buffers.forfeit(100);
  assert.equal(calls, 1);
});

test('upload buffers go to those who wait, one each, in order', () => {
  const buffers = new UploadBuffers({ length: 10, max: 1 });
  const buffer = buffers.take() as Buffer;
  assert.equal(buffers.take(), undefined);
  const calls: string[] = [];
  buffers.wait(() => calls.push('first'));
  buffers.wait(() => calls.push('second'));
  buffers.give(buffer);
  assert.deepEqual(calls, ['first']);
});
