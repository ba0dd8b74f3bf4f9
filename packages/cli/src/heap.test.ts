import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapSpaceStatistics } from 'node:v8';
import { fitHeapToBuffers } from './heap.ts';

test('the young generation stays as small as it is, however much outlives it', () => {
  fitHeapToBuffers();
  const before = youngBytes();
  const kept: object[] = [];
  for (let index = 0; index < 1_000_000; index += 1) kept.push({ index });
  assert.equal(youngBytes(), before);
  assert.equal(kept.length, 1_000_000);
});

function youngBytes(): number | undefined {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size;
}
