import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_LENGTH, pieceGeometry } from '@sealift/core';
import { nodeIdOf } from '@sealift/testkit';
import { Suspects } from './suspects.ts';

const [alice, bob, mallory] = ['alice', 'bob', 'mallory'].map(nodeIdOf) as [ReturnType<typeof nodeIdOf>, never, never];
const geometry = pieceGeometry(3 * BLOCK_LENGTH + 7, 4 * BLOCK_LENGTH);

function piece(falseBlocks: readonly number[]): ArrayBuffer {
  const data = new Uint8Array(4 * BLOCK_LENGTH).fill(1);
  for (const block of falseBlocks) data[block * BLOCK_LENGTH] = 0;
  return data.buffer;
}

test('the only sender of a false piece is the culprit', () => {
  const suspects = new Suspects({ geometry });
  assert.equal(suspects.failed(0, piece([1]), [mallory, mallory, mallory, mallory]), mallory);
  assert.equal(suspects.has(0), false);
});

test('of several senders, those are found whose blocks differ from the verified piece', () => {
  const suspects = new Suspects({ geometry });
  assert.equal(suspects.failed(0, piece([1, 3]), [alice, mallory, alice, bob]), undefined);
  assert.equal(suspects.has(0), true);
  assert.deepEqual(suspects.verified(0, piece([])), [mallory, bob]);
  assert.equal(suspects.has(0), false);
});

test('bytes beyond a short last piece accuse nobody', () => {
  const suspects = new Suspects({ geometry });
  const data = piece([1]);
  new Uint8Array(data)[3 * BLOCK_LENGTH + 7] = 99;
  suspects.failed(0, data, [alice, mallory, alice, bob]);
  assert.deepEqual(suspects.verified(0, piece([])), [mallory]);
});
