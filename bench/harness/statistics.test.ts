import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ratioSpread, spreadOf } from './statistics.ts';

test('the median of an even number of values lies between the two in the middle', () => {
  assert.deepEqual(spreadOf([4, 1, 3, 2]), { min: 1, median: 2.5, max: 4 });
});

test('ratios are taken round by round, so that a slow round of the machine cancels out', () => {
  const ours = [{ cpu: 1 }, { cpu: 10 }, { cpu: 3 }];
  const theirs = [{ cpu: 2 }, { cpu: 20 }, { cpu: 6 }];
  assert.deepEqual(ratioSpread(ours, theirs, 'cpu'), { min: 0.5, median: 0.5, max: 0.5 });
});
