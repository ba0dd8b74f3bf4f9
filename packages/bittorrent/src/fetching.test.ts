import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import fc from 'fast-check';
import { decodeFetching, encodeFetching, MAX_FETCHING } from './fetching.ts';

test('a list of pieces decodes to itself', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(999), { minLength: 1, maxLength: MAX_FETCHING }), (indexes) => {
      assert.deepEqual(decodeFetching(encodeFetching(indexes), 1_000), indexes);
    }),
    { seed: 1, numRuns: 200 },
  );
});

test('arbitrary bytes give pieces that exist or FRAME_INVALID', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 2 ** 31 }), (payload, pieceCount) => {
      try {
        const indexes = decodeFetching(payload, pieceCount);
        assert.ok(indexes.length <= MAX_FETCHING && indexes.every((index) => index < pieceCount));
      } catch (error) {
        if (!isAppError(error, 'FRAME_INVALID')) throw error;
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});
