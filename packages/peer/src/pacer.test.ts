import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_LENGTH } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { Pacer } from './pacer.ts';

const MIB = 2 ** 20;

test('without a limit everybody enters at once', () => {
  const pacer = new Pacer({ clock: new FakeClock(), bytesPerSecond: undefined });
  const retry = () => assert.fail('nobody waits');
  for (let round = 0; round < 100; round += 1) {
    assert.equal(pacer.enter(retry), true);
    pacer.take(MIB);
  }
  assert.equal(pacer.turnBytes, Number.POSITIVE_INFINITY);
});

test('a turn is a whole number of blocks, one at least, and no more than an upload batch', () => {
  const turnOf = (bytesPerSecond: number) =>
    new Pacer({ clock: new FakeClock(), bytesPerSecond }).turnBytes / BLOCK_LENGTH;
  assert.deepEqual([1, MIB, 4 * MIB, 1024 * MIB].map(turnOf), [1, 3, 12, 16]);
});

test('those who wait get turns of the same size one after the other, and the rate is kept', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = new FakeClock();
  const pacer = new Pacer({ clock, bytesPerSecond: MIB });
  const taken = new Map<string, number>();
  for (const name of ['alice', 'bob', 'carol']) {
    taken.set(name, 0);
    const pump = (): void => {
      while (pacer.enter(pump)) {
        pacer.take(pacer.turnBytes);
        taken.set(name, (taken.get(name) ?? 0) + pacer.turnBytes);
      }
    };
    pump();
  }
  for (let passedMs = 0; passedMs < 10_000; passedMs += 1) {
    clock.advance(1);
    t.mock.timers.tick(1);
  }
  pacer.stop();
  const bytes = [...taken.values()];
  const total = bytes.reduce((sum, each) => sum + each, 0);
  // Payload is a little less than what crosses the link.
  assert.ok(total > 9.5 * MIB && total < 10.2 * MIB, `${total / MIB}`);
  // The first to come had the burst for itself.
  assert.ok(Math.max(...bytes) - Math.min(...bytes) <= MIB / 4, `${bytes}`);
});

test('who lets its turn pass keeps nobody waiting, and who leaves the line is not called', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = new FakeClock();
  const pacer = new Pacer({ clock, bytesPerSecond: MIB });
  pacer.take(MIB);
  const called: string[] = [];
  const gone = () => called.push('gone');
  assert.equal(pacer.enter(gone), false);
  assert.equal(
    pacer.enter(() => called.push('idle')),
    false,
  );
  assert.equal(
    pacer.enter(() => called.push('next')),
    false,
  );
  pacer.forget(gone);
  clock.advance(2_000);
  t.mock.timers.tick(2_000);
  assert.deepEqual(called, ['idle', 'next']);
  pacer.stop();
});

test('one who asks again and again without taking anything does not hold up the process', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = new FakeClock();
  const pacer = new Pacer({ clock, bytesPerSecond: MIB });
  pacer.take(MIB);
  let calls = 0;
  const greedy = (): void => {
    calls += 1;
    pacer.enter(greedy);
    pacer.enter(greedy);
  };
  pacer.enter(greedy);
  clock.advance(1_000);
  t.mock.timers.tick(1_000);
  assert.ok(calls < 1_000, `${calls}`);
  pacer.stop();
});
