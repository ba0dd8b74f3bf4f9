import assert from 'node:assert/strict';
import { test } from 'node:test';
import { successorTime } from './successor-time.ts';

const HOUR_MS = 3_600_000;
const random = () => 0.5;

test('a connection gets its successor half a minute before it must end', () => {
  const life = { openedAt: 0, endsAt: HOUR_MS };
  assert.equal(successorTime(life, { now: 0, isStale: false, random }), HOUR_MS - 30_000);
});

test('one that lives short gets it in the last quarter of its life, so that there is no end of dials', () => {
  const endsAt = 4_000;
  let dials = 0;
  for (let now = 0; endsAt - now > 10; dials += 1)
    now = successorTime({ openedAt: now, endsAt }, { now, isStale: false, random });
  assert.ok(dials < 10, `${dials}`);
});

test('once our certificate is replaced the successor comes soon, at a random time, and never too late', () => {
  const life = { openedAt: 0, endsAt: HOUR_MS };
  assert.equal(successorTime(life, { now: 1_000, isStale: true, random }), 6_000);
  assert.equal(successorTime(life, { now: 1_000, isStale: true, random: () => 0 }), 1_000);
  const short = { openedAt: 0, endsAt: 4_000 };
  assert.ok(successorTime(short, { now: 2_600, isStale: true, random: () => 1 }) <= 3_300);
});
