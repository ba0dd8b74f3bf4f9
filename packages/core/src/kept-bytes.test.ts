import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keptBytes } from './kept-bytes.ts';

test('what is kept has the same bytes, and no memory beyond them', () => {
  const pooled = Buffer.from('of a pool');
  assert.ok(pooled.buffer.byteLength > pooled.length);
  const kept = keptBytes(pooled);
  assert.deepEqual([kept.toString(), kept.buffer.byteLength], ['of a pool', pooled.length]);
  pooled.fill(0);
  assert.equal(kept.toString(), 'of a pool');
});
