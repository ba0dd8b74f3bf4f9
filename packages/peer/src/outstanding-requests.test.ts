import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_LENGTH } from '@sealift/core';
import { OutstandingRequests } from './outstanding-requests.ts';

const block = { index: 7, begin: 3 * BLOCK_LENGTH, length: BLOCK_LENGTH };

test('only a block that was asked for is wanted', () => {
  const requests = new OutstandingRequests();
  requests.add(block, 5);
  assert.equal(requests.classify(7, 3 * BLOCK_LENGTH, BLOCK_LENGTH), 'wanted');
  assert.equal(requests.classify(7, 3 * BLOCK_LENGTH, BLOCK_LENGTH - 1), 'unrequested');
  assert.equal(requests.classify(7, 3 * BLOCK_LENGTH + 1, BLOCK_LENGTH), 'unrequested');
  assert.equal(requests.classify(8, 3 * BLOCK_LENGTH, BLOCK_LENGTH), 'unrequested');
  assert.deepEqual([...requests.blocks()], [block]);
  assert.equal(requests.settle(7, 3 * BLOCK_LENGTH), 5);
  assert.equal(requests.bytes, 0);
});

test('a given-up block may still come, once', () => {
  const requests = new OutstandingRequests();
  requests.add(block, 5);
  assert.equal(requests.giveUp(block.index, block.begin), true);
  assert.equal(requests.classify(block.index, block.begin, block.length), 'late');
  requests.settleLate(block.index, block.begin);
  assert.equal(requests.classify(block.index, block.begin, block.length), 'unrequested');
});

test('a block that was given up and asked for again may come twice', () => {
  const requests = new OutstandingRequests();
  requests.add(block, 5);
  requests.giveUp(block.index, block.begin);
  requests.add(block, 6);
  assert.equal(requests.classify(block.index, block.begin, block.length), 'wanted');
  requests.settle(block.index, block.begin);
  assert.equal(requests.classify(block.index, block.begin, block.length), 'late');
});
