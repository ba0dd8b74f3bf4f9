import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { PieceWaiters } from './piece-waiters.ts';

const { signal } = new AbortController();
const stalled = () => new AppError('SWARM_STALLED');

test('a reader waits until its piece is here', async () => {
  const waiters = new PieceWaiters({ clock: new FakeClock() });
  let isHere = false;
  const waiting = waiters.wait(() => isHere, { signal });
  waiters.settle();
  assert.equal(waiters.size, 1);
  isHere = true;
  waiters.settle();
  await waiting;
  assert.equal(waiters.size, 0);
});

test('a reader is given up only when neither it nor the swarm has seen anything for the whole time', async () => {
  const clock = new FakeClock();
  const waiters = new PieceWaiters({ clock });
  const start = clock.now();
  const waiting = assert.rejects(
    waiters.wait(() => false, { signal }),
    { code: 'SWARM_STALLED' },
  );
  clock.advance(1_000);
  assert.equal(waiters.expire(clock.now() - 500, start + 700, stalled), 0);
  assert.equal(waiters.expire(clock.now() - 500, start, stalled), 1);
  await waiting;
});

test('a reader is given up in time by a clock that was set back', async () => {
  const clock = new FakeClock();
  const waiters = new PieceWaiters({ clock });
  const waiting = assert.rejects(
    waiters.wait(() => false, { signal }),
    { code: 'SWARM_STALLED' },
  );
  clock.advance(-3_600_000);
  const setBackAt = clock.now();
  assert.equal(waiters.expire(setBackAt - 500, 0, stalled), 0);
  clock.advance(500);
  assert.equal(waiters.expire(setBackAt, 0, stalled), 1);
  await waiting;
});

test('a reader that goes away is forgotten', async () => {
  const waiters = new PieceWaiters({ clock: new FakeClock() });
  const leaving = new AbortController();
  const waiting = assert.rejects(
    waiters.wait(() => false, { signal: leaving.signal }),
    { name: 'AbortError' },
  );
  leaving.abort();
  await waiting;
  assert.equal(waiters.size, 0);
});
