import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EventQueue } from './event-queue.ts';

test('events happen in the order of their times, and of their making where times are equal', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 20 })), (times) => {
      const queue = new EventQueue();
      const seen: (readonly [number, number])[] = [];
      for (const [number, at] of times.entries()) queue.at(at, () => seen.push([queue.now(), number]));
      while (queue.step());
      const expected = times.map((at, number) => [at, number] as const).sort(([a, i], [b, j]) => a - b || i - j);
      assert.deepEqual(seen, expected);
    }),
    { seed: 1, numRuns: 200 },
  );
});

test('events of a common delay keep the same order among all others', () => {
  const run = (delays: readonly number[], waits: readonly number[]): string[] => {
    const queue = new EventQueue({ delays });
    const seen: string[] = [];
    const plan = (name: string, left: readonly number[]): void => {
      const [wait, ...rest] = left;
      if (wait === undefined) return;
      queue.after(wait, () => {
        seen.push(`${name} ${queue.now()}`);
        plan(`${name}a`, rest);
        plan(`${name}b`, rest.slice(1));
      });
    };
    plan('x', waits);
    plan('y', waits.toReversed());
    while (queue.step());
    return seen;
  };
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 4 }), { maxLength: 8 }), (waits) => {
      assert.deepEqual(run([1, 2, 3], waits), run([], waits));
    }),
    { seed: 1, numRuns: 100 },
  );
});

test('what an event brings about happens after it, and never in the past', () => {
  const queue = new EventQueue();
  const seen: string[] = [];
  queue.at(5, () => {
    queue.at(1, () => seen.push(`late ${queue.now()}`));
    queue.after(2, () => seen.push(`after ${queue.now()}`));
  });
  queue.at(5, () => seen.push(`beside ${queue.now()}`));
  while (queue.step());
  assert.deepEqual(seen, ['beside 5', 'late 5', 'after 7']);
});
