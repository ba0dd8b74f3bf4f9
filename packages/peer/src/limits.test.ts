import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS, dialTarget } from './limits.ts';

const { firstDialTargetMs, firstDialTargetPerSwarm, dialTargetPerSwarm, zonedDialTargetPerSwarm } = DEFAULT_LIMITS;

test('a leecher dials a few at first, and more when it has not got the blob by then', () => {
  assert.ok(firstDialTargetPerSwarm < dialTargetPerSwarm);
  const at = (fetchingMs: number): number => dialTarget(DEFAULT_LIMITS, { fetchingMs, isZoned: false });
  assert.equal(at(0), firstDialTargetPerSwarm);
  assert.equal(at(firstDialTargetMs - 1), firstDialTargetPerSwarm);
  assert.equal(at(firstDialTargetMs), dialTargetPerSwarm);
});

test('in a zone it dials all at once', () => {
  assert.equal(dialTarget(DEFAULT_LIMITS, { fetchingMs: 0, isZoned: true }), zonedDialTargetPerSwarm);
});
