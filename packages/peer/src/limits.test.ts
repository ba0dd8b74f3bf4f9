import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS, dialTarget } from './limits.ts';

test('a leecher dials a few at first, and more when it has not got the blob by then', () => {
  const { firstDialTargetMs, firstDialTargetPerSwarm, dialTargetPerSwarm } = DEFAULT_LIMITS;
  assert.ok(firstDialTargetPerSwarm < dialTargetPerSwarm);
  assert.equal(dialTarget(DEFAULT_LIMITS, 0), firstDialTargetPerSwarm);
  assert.equal(dialTarget(DEFAULT_LIMITS, firstDialTargetMs - 1), firstDialTargetPerSwarm);
  assert.equal(dialTarget(DEFAULT_LIMITS, firstDialTargetMs), dialTargetPerSwarm);
});
