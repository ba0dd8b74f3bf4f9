import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PullProgress } from './pull-progress.ts';

test('layers and bytes are counted as dockerd tells of them', () => {
  const pull = new PullProgress();
  pull.apply({ status: 'Pulling from lib/app', id: 'sha256:00' });
  for (const id of ['a', 'b', 'c']) pull.apply({ status: 'Pulling fs layer', progressDetail: {}, id });
  pull.apply({ status: 'Downloading', progressDetail: { current: 10, total: 100 }, id: 'a' });
  pull.apply({ status: 'Downloading', progressDetail: { current: 40, total: 50 }, id: 'b' });
  pull.apply({ status: 'Already exists', progressDetail: {}, id: 'c' });
  assert.deepEqual([pull.layers, pull.layersDone, pull.bytes, pull.totalBytes], [3, 1, 50, 150]);
  pull.apply({ status: 'Download complete', progressDetail: {}, id: 'a' });
  pull.apply({ status: 'Extracting', progressDetail: { current: 1, total: 100 }, id: 'a' });
  pull.apply({ status: 'Pull complete', progressDetail: {}, id: 'a' });
  assert.deepEqual([pull.layersDone, pull.bytes, pull.failure], [2, 140, undefined]);
});

test('an error in the middle of the stream is the end of the pull, and the first one counts', () => {
  const pull = new PullProgress();
  pull.apply({ errorDetail: { message: 'no space left' }, error: 'no space left' });
  pull.apply({ errorDetail: { message: 'later' } });
  assert.equal(pull.failure, 'no space left');
  const silent = new PullProgress();
  silent.apply({ errorDetail: 7 });
  assert.equal(silent.failure, 'no reason given');
});

test('a dockerd that makes up layers, sizes and long stories fills no memory', () => {
  const pull = new PullProgress();
  for (let index = 0; index < 5_000; index += 1) pull.apply({ status: 'Waiting', id: `l${index}` });
  pull.apply({ status: 'Waiting', id: 'x'.repeat(10_000) });
  assert.equal(pull.layers, 1_024);
  for (const total of [-1, 1.5, 1e300, 2 ** 52, '9', null]) {
    pull.apply({ status: 'Downloading', id: 'l1', progressDetail: { current: total, total } });
  }
  assert.deepEqual([pull.bytes, pull.totalBytes], [0, 0]);
  pull.apply({ error: 'e'.repeat(100_000) });
  assert.equal(pull.failure?.length, 65_536);
});

test('no line, whatever is in it, throws', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), (lines) => {
      const pull = new PullProgress();
      for (const line of lines) pull.apply(line);
      assert.ok(pull.layersDone <= pull.layers && pull.bytes <= pull.totalBytes);
    }),
    { seed: 6, numRuns: 300 },
  );
});
