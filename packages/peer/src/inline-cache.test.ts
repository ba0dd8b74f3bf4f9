import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSwarmId } from '@sealift/core';
import { InlineCache } from './inline-cache.ts';

const ids = Array.from({ length: 5 }, (_, index) => parseSwarmId(String(index).repeat(40)));
const [a, b, c] = ids as [(typeof ids)[0], (typeof ids)[0], (typeof ids)[0]];

test('what was used least recently goes first when the bytes run out', () => {
  const cache = new InlineCache({ maxBytes: 20 });
  cache.set(a, Buffer.alloc(10));
  cache.set(b, Buffer.alloc(10));
  cache.get(a);
  cache.set(c, Buffer.alloc(10));
  assert.deepEqual(
    [a, b, c].map((id) => cache.get(id)?.length),
    [10, undefined, 10],
  );
});

test('a blob that is put again counts once', () => {
  const cache = new InlineCache({ maxBytes: 20 });
  for (let round = 0; round < 10; round += 1) cache.set(a, Buffer.alloc(10));
  cache.set(b, Buffer.alloc(10));
  assert.equal(cache.get(a)?.length, 10);
});

test('a blob above the limit is not kept, and takes nobody with it', () => {
  const cache = new InlineCache({ maxBytes: 20 });
  cache.set(a, Buffer.alloc(10));
  cache.set(b, Buffer.alloc(21));
  assert.deepEqual([cache.get(a)?.length, cache.get(b)], [10, undefined]);
});
