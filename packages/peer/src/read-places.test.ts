import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadPlaces } from './read-places.ts';

test('who finds no place gets the next one that is given back, in the order of asking', async () => {
  const places = new ReadPlaces({ places: 1, maxWaiting: 2 });
  const order: string[] = [];
  const first = await places.take(60_000);
  const second = places.take(60_000).then((release) => {
    order.push('second');
    release?.();
  });
  const third = places.take(60_000).then((release) => {
    order.push('third');
    release?.();
  });
  assert.equal(await places.take(60_000), undefined, 'more than may wait');
  first?.();
  first?.();
  await Promise.all([second, third]);
  assert.deepEqual(order, ['second', 'third']);
});

test('at the end nobody waits any longer', async () => {
  const places = new ReadPlaces({ places: 1, maxWaiting: 2 });
  await places.take(60_000);
  const waiting = [places.take(60_000), places.take(60_000)];
  places.close();
  assert.deepEqual(await Promise.all(waiting), [undefined, undefined]);
  assert.equal(await places.take(60_000), undefined);
});

test('who waits in vain leaves the line, and takes no place', async () => {
  const places = new ReadPlaces({ places: 1, maxWaiting: 1 });
  const release = await places.take(60_000);
  assert.equal(await places.take(1), undefined);
  release?.();
  assert.notEqual(await places.take(1), undefined);
  assert.equal(await places.take(1), undefined);
});
