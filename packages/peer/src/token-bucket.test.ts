import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@sealift/testkit';
import fc from 'fast-check';
import { TokenBucket } from './token-bucket.ts';

test('what is taken in 10 s stays within 5 % of the rate, whatever the sizes and the grain of the clock', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 64 * 1024, max: 500 * 2 ** 20 }),
      fc.integer({ min: 1, max: 100 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 50 })),
      (bytesPerSecond, grainMs, shares) => {
        const clock = new FakeClock();
        const bucket = new TokenBucket({ clock, bytesPerSecond, burstBytes: bytesPerSecond / 5 });
        const end = clock.now() + 10_000;
        let taken = 0;
        while (clock.now() < end) {
          while (bucket.isOpen) {
            const bytes = Math.ceil((bytesPerSecond / 1000) * (shares.next().value ?? 1));
            bucket.take(bytes);
            taken += bytes;
          }
          clock.advance(grainMs);
        }
        const ratio = taken / (bytesPerSecond * 10);
        assert.ok(ratio > 0.95 && ratio < 1.05, `${ratio}`);
      },
    ),
    { seed: 11, numRuns: 100 },
  );
});

test('debt is paid before the next may take, and the wait for it is known', () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ clock, bytesPerSecond: 1_000, burstBytes: 100 });
  bucket.take(1_100);
  assert.equal(bucket.isOpen, false);
  assert.equal(bucket.msUntilOpen, 1_001);
  clock.advance(1_000);
  assert.equal(bucket.isOpen, false);
  clock.advance(1);
  assert.equal(bucket.isOpen, true);
  assert.equal(bucket.msUntilOpen, 0);
});

test('credit does not grow beyond the burst, and what is given back counts again', () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ clock, bytesPerSecond: 1_000, burstBytes: 100 });
  clock.advance(60_000);
  bucket.take(100);
  assert.equal(bucket.isOpen, false);
  bucket.giveBack(40);
  assert.equal(bucket.isOpen, true);
  bucket.giveBack(1_000);
  bucket.take(100);
  assert.equal(bucket.isOpen, false);
});

test('a clock that is set back neither gives nor takes credit', () => {
  let now = 10_000;
  const bucket = new TokenBucket({ clock: { now: () => now }, bytesPerSecond: 1_000, burstBytes: 100 });
  bucket.take(150);
  now = 0;
  assert.equal(bucket.msUntilOpen, 51);
  now = 51;
  assert.equal(bucket.isOpen, true);
});
