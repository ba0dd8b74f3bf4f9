import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSwarmId, type SwarmId } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { type PausedRead, PausedReads } from './paused-reads.ts';

const idOf = (number: number): SwarmId => parseSwarmId(number.toString(16).padStart(40, '0'));

function scene() {
  const clock = new FakeClock();
  const abandoned: SwarmId[] = [];
  const reads = new PausedReads({ clock, abandon: (swarmId) => abandoned.push(swarmId) });
  const put = (number: number): void => reads.put(idOf(number), {} as PausedRead);
  return { clock, abandoned, reads, put };
}

test('a read is taken out once', () => {
  const { reads, put, abandoned } = scene();
  put(1);
  assert.notEqual(reads.take(idOf(1)), undefined);
  assert.equal(reads.take(idOf(1)), undefined);
  assert.deepEqual(abandoned, []);
});

test('a read that waits too long, or is the oldest of too many, is abandoned', () => {
  const { clock, reads, put, abandoned } = scene();
  put(1);
  clock.advance(9 * 60_000);
  put(2);
  clock.advance(60_000);
  assert.equal(reads.take(idOf(1)), undefined);
  assert.deepEqual(abandoned, [idOf(1)]);
  for (let number = 3; number < 1_000; number += 1) put(number);
  assert.equal(reads.size + abandoned.length, 999);
  assert.ok(reads.size <= 64);
  reads.clear();
  assert.equal(abandoned.length, 999);
});

test('a read that is put again waits anew', () => {
  const { clock, reads, put, abandoned } = scene();
  for (let round = 0; round < 5; round += 1) {
    put(1);
    clock.advance(9 * 60_000);
    put(2);
  }
  assert.deepEqual(abandoned, []);
  assert.equal(reads.size, 2);
});
