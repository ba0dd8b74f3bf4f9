import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError, MAX_BLOB_SIZE } from '@sealift/core';
import fc from 'fast-check';
import { decodeProgress, encodeProgress } from './progress.ts';

test('progress decodes to itself', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_BLOB_SIZE }), (bytesRead) => {
      assert.equal(decodeProgress(encodeProgress(bytesRead)), bytesRead);
    }),
    { seed: 1, numRuns: 200 },
  );
});

test('arbitrary bytes give a progress or FRAME_INVALID', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (payload) => {
      try {
        assert.ok(decodeProgress(payload) <= MAX_BLOB_SIZE);
      } catch (error) {
        if (!isAppError(error, 'FRAME_INVALID')) throw error;
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('progress beyond the largest blob is refused', () => {
  assert.throws(() => decodeProgress(encodeProgress(MAX_BLOB_SIZE + 1)), { code: 'FRAME_INVALID' });
});
