import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { getHeapSpaceStatistics } from 'node:v8';
import { ENGINE_HEAP_ARGS, keepYoungGenerationSmall } from './heap.ts';

/** Keeps many objects, and says how large the young generation has become, in bytes. */
const FILL = `
  const kept = [];
  for (let index = 0; index < 1_000_000; index += 1) kept.push({ index });
  const spaces = require('node:v8').getHeapSpaceStatistics();
  console.log(spaces.find(({ space_name }) => space_name === 'new_space').space_size, kept.length);
`;

test('the young generation stays as small as it is, however much outlives it', () => {
  keepYoungGenerationSmall();
  const before = youngBytes();
  const kept: object[] = [];
  for (let index = 0; index < 1_000_000; index += 1) kept.push({ index });
  assert.equal(youngBytes(), before);
  assert.equal(kept.length, 1_000_000);
});

test('that of an engine has twice 4 MiB at most', () => {
  const youngBytesWith = (args: readonly string[]): number => {
    const { stdout, stderr } = spawnSync(process.execPath, [...args, '-e', FILL], { encoding: 'utf8' });
    assert.match(stdout, /^\d+ 1000000$/m, stderr);
    return Number.parseInt(stdout, 10);
  };
  assert.ok(youngBytesWith(ENGINE_HEAP_ARGS) <= 2 * 4 * 2 ** 20);
  assert.ok(youngBytesWith([]) > 2 * 4 * 2 ** 20, 'and would be larger otherwise');
});

function youngBytes(): number | undefined {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size;
}
