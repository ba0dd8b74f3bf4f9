import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError, MAX_PIECE_LENGTH, pieceGeometry } from '@sealift/core';
import fc from 'fast-check';
import { formatMeta, parseMeta } from './blob-meta.ts';
import { testBlob } from './store-fixture.ts';

const blob = testBlob();
const description = { swarmId: blob.swarmId, registry: blob.registry, digest: blob.digest, geometry: blob.geometry };

test('a description survives its file', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 36 }), fc.integer({ min: 1, max: 256 }), (size, blocks) => {
      const written = { ...description, geometry: pieceGeometry(size, Math.min(blocks * 16_384, MAX_PIECE_LENGTH)) };
      assert.deepEqual(parseMeta(formatMeta(written)), written);
    }),
    { seed: 7, numRuns: 100 },
  );
});

test('any other text is refused as a fault of the store', () => {
  const changes = fc.record(
    {
      format: fc.jsonValue(),
      swarmId: fc.jsonValue(),
      registry: fc.constantFrom(1, '', 'a b'),
      digest: fc.jsonValue(),
      size: fc.constantFrom(0, -1, 1.5, '', null),
    },
    { requiredKeys: [] },
  );
  const texts = fc.oneof(
    fc.string(),
    fc.json(),
    changes
      .filter((change) => Object.keys(change).length > 0)
      .map((change) => {
        const fields = JSON.parse(formatMeta(description)) as object;
        return JSON.stringify({ ...fields, ...change });
      }),
  );
  fc.assert(
    fc.property(texts, (text) => {
      assert.throws(
        () => parseMeta(text),
        (error) => isAppError(error, 'STORE_FAULT'),
      );
    }),
    { seed: 7, numRuns: 200 },
  );
});
