import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BLOCK_LENGTH,
  blockCount,
  MAX_BLOB_SIZE,
  MAX_PIECE_LENGTH,
  pieceGeometry,
  pieceLengthFor,
  pieceSize,
} from './geometry.ts';

const anySize = fc.oneof(fc.integer({ min: 1, max: 100 * 1024 * 1024 }), fc.integer({ min: 1, max: MAX_BLOB_SIZE }));

test('the pieces of the chosen geometry add up to the blob, and none is empty', () => {
  fc.assert(
    fc.property(anySize, (size) => {
      const geometry = pieceGeometry(size, pieceLengthFor(size));
      const last = pieceSize(geometry, geometry.pieceCount - 1);
      assert.ok(last >= 1 && last <= geometry.pieceLength);
      assert.equal((geometry.pieceCount - 1) * geometry.pieceLength + last, size);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('the blocks of a piece cover it with the last one not empty', () => {
  const geometry = pieceGeometry(300 * 1024 + 1, 256 * 1024);
  assert.equal(blockCount(geometry, 0), 16);
  assert.equal(pieceSize(geometry, 1), 44 * 1024 + 1);
  assert.equal(blockCount(geometry, 1), 3);
  assert.equal(blockCount(pieceGeometry(1, BLOCK_LENGTH), 0), 1);
});

test('sizes and piece lengths outside the limits are refused', () => {
  const refused = [
    [0, BLOCK_LENGTH],
    [-1, BLOCK_LENGTH],
    [1.5, BLOCK_LENGTH],
    [Number.NaN, BLOCK_LENGTH],
    [MAX_BLOB_SIZE + 1, MAX_PIECE_LENGTH],
    [100, 0],
    [100, BLOCK_LENGTH - 1],
    [100, BLOCK_LENGTH + 1],
    [100, -BLOCK_LENGTH],
    [100, MAX_PIECE_LENGTH + BLOCK_LENGTH],
    [100, Number.POSITIVE_INFINITY],
  ] as const;
  for (const [size, pieceLength] of refused) {
    assert.throws(() => pieceGeometry(size, pieceLength), { code: 'GEOMETRY_INVALID' }, `${size}/${pieceLength}`);
  }
});

test('the largest blob is accepted with the piece length chosen for it', () => {
  assert.equal(pieceGeometry(MAX_BLOB_SIZE, pieceLengthFor(MAX_BLOB_SIZE)).pieceCount, 16_384);
});

test('a blob is cut into enough pieces to trade and not into many more', () => {
  for (const mib of [16, 32, 64, 100, 128, 500]) {
    const size = mib * 2 ** 20;
    const pieces = pieceGeometry(size, pieceLengthFor(size)).pieceCount;
    assert.ok(pieces >= 64 && pieces <= 512, `${pieces} pieces of ${mib} MiB`);
  }
});

test('a piece outside the blob has no size', () => {
  const geometry = pieceGeometry(BLOCK_LENGTH * 3, BLOCK_LENGTH);
  for (const index of [-1, 3, 0.5, Number.NaN]) {
    assert.throws(() => pieceSize(geometry, index), { code: 'GEOMETRY_INVALID' });
    assert.throws(() => blockCount(geometry, index), { code: 'GEOMETRY_INVALID' });
  }
});

test('a geometry cannot be changed', () => {
  assert.ok(Object.isFrozen(pieceGeometry(1, BLOCK_LENGTH)));
});
