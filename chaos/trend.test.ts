import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasGrown, trendOf } from './soak/trend.ts';

const minutes = Array.from({ length: 31 }, (_, minute) => minute);

test('what grows in the second half is seen, however much it swings', () => {
  const trend = trendOf(minutes.map((minute) => ({ minute, value: 100 + 2 * minute + (minute % 2 === 0 ? 5 : -5) })));
  assert.ok(trend);
  assert.ok(Math.abs(trend.perHour - 120) < 12, `${trend.perHour}`);
  assert.deepEqual([hasGrown(trend, 20), hasGrown(trend, 60)], [false, false], 'less than a quarter of what it was');
  const steep = trendOf(minutes.map((minute) => ({ minute, value: 10 * minute })));
  assert.ok(steep);
  assert.deepEqual([hasGrown(steep, 20), hasGrown(steep, 200)], [true, false]);
});

test('what only fills up in the first half is no growth', () => {
  const trend = trendOf(minutes.map((minute) => ({ minute, value: Math.min(100, 10 * minute) })));
  assert.ok(trend);
  assert.deepEqual([Math.round(trend.from), Math.round(trend.to), hasGrown(trend, 1)], [100, 100, false]);
});

test('too few looks say nothing', () => {
  assert.equal(trendOf([]), undefined);
  assert.equal(trendOf(minutes.slice(0, 9).map((minute) => ({ minute, value: minute }))), undefined);
});
