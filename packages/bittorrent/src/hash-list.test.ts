import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestFromSha256, MAX_BLOB_SIZE, parseSwarmId, pieceGeometry } from '@sealift/core';
import fc from 'fast-check';
import { hashesOf, hashOf, newBatch } from './hash-batch.fixture.ts';
import type { HashBatch } from './hash-batch.ts';
import { HashList } from './hash-list.ts';

const PIECES = 10;

/** A batch of a blob of ten pieces. */
function tenthBatch(change: Partial<HashBatch> = {}): HashBatch {
  return newBatch({ size: PIECES * 16_384, ...change });
}

function newList(): HashList {
  const { swarmId, digest, size, pieceLength } = tenthBatch();
  return new HashList({ swarmId, digest, geometry: pieceGeometry(size, pieceLength) });
}

function noHashes(change: Partial<HashBatch>): HashBatch {
  return tenthBatch({ firstIndex: 0, hashes: Buffer.alloc(0), ...change });
}

test('hashes are known from the batch that brings them, and not before', () => {
  const list = newList();
  assert.equal(list.hashOf(4), undefined);
  const added = list.add(tenthBatch({ firstIndex: 3, hashes: hashesOf(3, 2) }));
  assert.deepEqual(added, { firstIndex: 3, count: 2, isNews: true });
  assert.deepEqual(Buffer.from(list.hashOf(4) ?? []), hashOf(4));
  assert.equal(list.hashOf(5), undefined);
  assert.equal(list.knownCount, 2);
});

test('an index outside the blob has no hash', () => {
  const list = newList();
  list.add(tenthBatch({ hashes: hashesOf(0, PIECES) }));
  for (const index of [-1, PIECES, 0.5, Number.NaN, 2 ** 32]) assert.equal(list.hashOf(index), undefined);
});

test('batches in any order and overlap give the whole list', () => {
  const ranges = fc
    .tuple(fc.integer({ min: 0, max: PIECES - 1 }), fc.integer({ min: 1, max: PIECES }))
    .map(([first, count]) => [first, Math.min(count, PIECES - first)] as const);
  fc.assert(
    fc.property(fc.array(ranges, { maxLength: 8 }), (all) => {
      const list = newList();
      const expected = new Set<number>();
      for (const [firstIndex, count] of all) {
        const before = expected.size;
        for (let index = firstIndex; index < firstIndex + count; index += 1) expected.add(index);
        const { isNews } = list.add(tenthBatch({ firstIndex, hashes: hashesOf(firstIndex, count) }));
        assert.equal(isNews, expected.size > before);
      }
      assert.equal(list.knownCount, expected.size);
      for (let index = 0; index < PIECES; index += 1) {
        const known = list.hashOf(index);
        assert.deepEqual(known && Buffer.from(known), expected.has(index) ? hashOf(index) : undefined);
      }
    }),
    { seed: 1, numRuns: 200 },
  );
});

test('a complete flag counts once all hashes are known', () => {
  const list = newList();
  assert.equal(list.add(noHashes({ isComplete: true })).isNews, true);
  assert.equal(list.isComplete, false);
  list.add(tenthBatch({ hashes: hashesOf(0, 9) }));
  assert.equal(list.isComplete, false);
  list.add(tenthBatch({ firstIndex: 9, hashes: hashesOf(9, 1) }));
  assert.equal(list.isComplete, true);
});

test('all hashes without the flag are not complete', () => {
  const list = newList();
  list.add(tenthBatch({ hashes: hashesOf(0, PIECES) }));
  assert.equal(list.isComplete, false);
});

test('a batch heard twice is no news', () => {
  const list = newList();
  const batch = tenthBatch({ hashes: hashesOf(0, PIECES), isComplete: true });
  assert.equal(list.add(batch).isNews, true);
  assert.equal(list.add(batch).isNews, false);
});

test('a withdrawal is final, even for a blob that was complete', () => {
  const list = newList();
  const whole = tenthBatch({ hashes: hashesOf(0, PIECES), isComplete: true });
  list.add(whole);
  assert.equal(list.add(noHashes({ isWithdrawn: true })).isNews, true);
  assert.equal(list.add(noHashes({ isWithdrawn: true })).isNews, false);
  list.add(whole);
  assert.deepEqual([list.isWithdrawn, list.isComplete], [true, false]);
});

test('a withdrawal holds even if its hashes contradict ours', () => {
  const list = newList();
  list.add(tenthBatch());
  list.add(tenthBatch({ hashes: hashesOf(5, 3), isWithdrawn: true }));
  assert.equal(list.isWithdrawn, true);
});

const contradictions: readonly (readonly [string, Partial<HashBatch>])[] = [
  ['of another swarm', { swarmId: parseSwarmId('0'.repeat(40)) }],
  ['of another blob', { digest: digestFromSha256(Buffer.alloc(32, 1)) }],
  ['of another size', { size: PIECES * 16_384 - 1 }],
  ['of another piece length', { pieceLength: 32_768 }],
  ['with a second hash for a piece', { firstIndex: 2, hashes: hashesOf(7, 2) }],
  ['that runs beyond the last piece', { firstIndex: 9, hashes: hashesOf(9, 2) }],
  ['with half a hash', { firstIndex: 5, hashes: Buffer.alloc(48) }],
];

for (const [what, change] of contradictions) {
  test(`a batch ${what} is refused and changes nothing`, () => {
    const list = newList();
    list.add(tenthBatch({ hashes: hashesOf(0, 3) }));
    const batch = tenthBatch({ ...change, isComplete: true });
    assert.throws(() => list.add(batch), { code: 'HASH_BATCH_INVALID' });
    list.add(tenthBatch({ firstIndex: 3, hashes: hashesOf(3, 7) }));
    assert.deepEqual([list.knownCount, list.isComplete, list.isWithdrawn], [PIECES, false, false]);
    assert.deepEqual(Buffer.from(list.hashOf(2) ?? []), hashOf(2));
  });
}

test('a withdrawal of another blob does not withdraw ours', () => {
  const list = newList();
  const foreign = noHashes({ swarmId: parseSwarmId('0'.repeat(40)), isWithdrawn: true });
  assert.throws(() => list.add(foreign), { code: 'HASH_BATCH_INVALID' });
  assert.equal(list.isWithdrawn, false);
});

test('a geometry with more pieces than a bitfield can show has no hash list', () => {
  const { swarmId, digest } = newBatch();
  const geometry = pieceGeometry(MAX_BLOB_SIZE, 16_384);
  assert.throws(() => new HashList({ swarmId, digest, geometry }), { code: 'GEOMETRY_INVALID' });
});
