import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_LENGTH, MAX_PIECE_LENGTH } from '@sealift/core';
import { OutstandingRequests } from './outstanding-requests.ts';

const block = { index: 7, begin: 3 * BLOCK_LENGTH, length: BLOCK_LENGTH };

test('only a block that was asked for is wanted', () => {
  const requests = new OutstandingRequests();
  requests.add(block, 5);
  assert.equal(requests.classify(block), 'wanted');
  assert.equal(requests.classify({ ...block, length: BLOCK_LENGTH - 1 }), 'unrequested');
  assert.equal(requests.classify({ ...block, length: 2 * BLOCK_LENGTH }), 'unrequested');
  assert.equal(requests.classify({ ...block, begin: block.begin + 1 }), 'unrequested');
  assert.equal(requests.classify({ ...block, index: 8 }), 'unrequested');
  assert.deepEqual([...requests.blocks()], [block]);
  assert.equal(requests.settle(block), 5);
  assert.equal(requests.bytes, 0);
});

test('a given-up block may still come, once', () => {
  const requests = new OutstandingRequests();
  requests.add(block, 5);
  assert.equal(requests.giveUp(block), true);
  assert.equal(requests.classify(block), 'late');
  requests.settleLate(block);
  assert.equal(requests.classify(block), 'unrequested');
});

test('a block that was given up and asked for again may come twice', () => {
  const requests = new OutstandingRequests();
  requests.add(block, 5);
  requests.giveUp(block);
  requests.add(block, 6);
  assert.equal(requests.classify(block), 'wanted');
  requests.settle(block);
  assert.equal(requests.classify(block), 'late');
});

test('a long block that was given up and the short ones asked for in its place are told apart', () => {
  const requests = new OutstandingRequests();
  const long = { ...block, length: 4 * BLOCK_LENGTH };
  requests.add(long, 5);
  requests.giveUp(long);
  requests.add(block, 6);
  requests.giveUp(block);
  requests.add(block, 7);
  assert.equal(requests.classify(long), 'late');
  requests.settleLate(long);
  assert.equal(requests.classify(long), 'unrequested');
  assert.equal(requests.settle(block), 7);
  assert.equal(requests.classify(block), 'late');
  assert.equal(requests.bytes, 0);
});

test('a block that cannot be is no other one', () => {
  const requests = new OutstandingRequests();
  requests.add({ index: 1, begin: 0, length: BLOCK_LENGTH }, 5);
  const beyond = { index: 0, begin: MAX_PIECE_LENGTH, length: BLOCK_LENGTH };
  assert.equal(requests.classify(beyond), 'unrequested');
  assert.equal(requests.classify({ ...beyond, begin: 0, length: 0xffff_0000 }), 'unrequested');
});
