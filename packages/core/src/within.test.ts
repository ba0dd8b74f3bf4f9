import assert from 'node:assert/strict';
import { test } from 'node:test';
import { within } from './within.ts';

test('what comes in time is passed on, and so is a failure', async () => {
  assert.equal(await within(Promise.resolve(7), 60_000), 7);
  await assert.rejects(within(Promise.reject(new Error('no')), 60_000), /no/);
});

test('what does not come in time is undefined, and a failure after that goes nowhere', async () => {
  const work = Promise.withResolvers<number>();
  assert.equal(await within(work.promise, 1), undefined);
  work.reject(new Error('too late'));
  await new Promise(setImmediate);
});
