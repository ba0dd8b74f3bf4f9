import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from './clock.ts';
import { RateLimiter } from './rate-limiter.ts';

class TestClock implements Clock {
  #now = 1_000_000;
  now(): number {
    return this.#now;
  }
  advance(ms: number): void {
    this.#now += ms;
  }
}

test('a key may burst, then acts at its rate', () => {
  const clock = new TestClock();
  const limiter = new RateLimiter({ limit: { burst: 2, perSecond: 1 }, maxKeys: 10, clock });
  assert.deepEqual(
    [1, 2, 3].map(() => limiter.take('a')),
    [true, true, false],
  );
  assert.equal(limiter.take('b'), true);
  clock.advance(1_000);
  assert.deepEqual(
    [1, 2].map(() => limiter.take('a')),
    [true, false],
  );
});

test('a clock that goes back refuses nobody for longer', () => {
  const clock = new TestClock();
  const limiter = new RateLimiter({ limit: { burst: 1, perSecond: 1 }, maxKeys: 10, clock });
  limiter.take('a');
  clock.advance(-60_000);
  limiter.take('a');
  clock.advance(1_000);
  assert.equal(limiter.take('a'), true);
});

test('a flood of keys does not grow the map, and drops the idle ones first', () => {
  const limiter = new RateLimiter({ limit: { burst: 1, perSecond: 0 }, maxKeys: 100, clock: new TestClock() });
  limiter.take('busy');
  for (let key = 0; key < 10_000; key += 1) {
    limiter.take(String(key));
    if (key % 50 === 0) assert.equal(limiter.take('busy'), false);
  }
  assert.equal(limiter.size, 100);
});

test('what was given back may be taken again, and never more than the burst', () => {
  const limiter = new RateLimiter({ limit: { burst: 1, perSecond: 0 }, maxKeys: 10, clock: new TestClock() });
  limiter.giveBack('a');
  assert.deepEqual([limiter.take('a'), limiter.take('a')], [true, false]);
  limiter.giveBack('a');
  limiter.giveBack('a');
  assert.deepEqual([limiter.take('a'), limiter.take('a')], [true, false]);
});
