import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@sealift/testkit';
import { RestartPolicy } from './restart-policy.ts';

/** The pauses after `count` runs that end as soon as they have begun. */
function pausesOf(policy: RestartPolicy, count: number): number[] {
  return Array.from({ length: count }, () => {
    policy.started();
    return policy.ended();
  });
}

test('the first restart is at once, and the pauses before the next ones grow up to some seconds', () => {
  const policy = new RestartPolicy({ clock: new FakeClock(), random: () => 0 });
  assert.deepEqual(pausesOf(policy, 8), [0, 250, 500, 1_000, 2_000, 4_000, 8_000, 8_000]);
});

test('chance shortens a pause by up to a quarter', () => {
  const policy = new RestartPolicy({ clock: new FakeClock(), random: () => 1 });
  assert.deepEqual(pausesOf(policy, 3), [0, 188, 375]);
});

test('after a quiet minute a fault counts as the first one again', () => {
  const clock = new FakeClock();
  const policy = new RestartPolicy({ clock, random: () => 0 });
  assert.deepEqual(pausesOf(policy, 4), [0, 250, 500, 1_000]);
  policy.started();
  clock.advance(60_000);
  assert.equal(policy.ended(), 0);
});
