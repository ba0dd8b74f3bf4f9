import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SimSetting, simulate } from './simulation.ts';

const setting: SimSetting = {
  nodes: 12,
  registryUp: 100,
  seederUp: 400,
  peerUp: 400,
  peerDown: 400,
  sizeBytes: 8_000_000,
  pieceLength: 256 * 1024,
  sites: 1,
  stragglers: 0,
  churn: 0,
  seed: 1,
};

test('every node ends, none sooner than the physical limit', () => {
  const { finishes, limitSeconds, unfinished } = simulate(setting);
  assert.equal(unfinished, 0);
  assert.equal(finishes.length, 12);
  assert.equal(limitSeconds, 0.64);
  for (const { seconds } of finishes) assert.ok(seconds >= limitSeconds && seconds < 2 * limitSeconds, String(seconds));
});

test('what all uplinks together cannot carry in time takes longer', () => {
  const narrow = { ...setting, seederUp: 50, peerUp: 50 };
  const { finishes, limitSeconds } = simulate(narrow);
  assert.ok(limitSeconds > 1.1);
  for (const { seconds } of finishes) assert.ok(seconds >= limitSeconds, String(seconds));
});

test('the same seed gives the same run, another seed another one', () => {
  const stormy = { ...setting, nodes: 40, sites: 2, stragglers: 0.1, churn: 0.1 };
  const first = simulate(stormy);
  assert.deepEqual(simulate(stormy), first);
  assert.notDeepEqual(simulate({ ...stormy, seed: 2 }), first);
});

test('who stays comes to its end though others vanish in the middle', () => {
  const { finishes, unfinished } = simulate({ ...setting, nodes: 40, churn: 0.25 });
  assert.equal(unfinished, 0);
  assert.equal(finishes.length, 30);
});
