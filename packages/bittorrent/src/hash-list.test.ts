import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestFromSha256, MAX_BLOB_SIZE, parseSwarmId, pieceGeometry } from '@sealift/core';
import fc from 'fast-check';
import { hashesOf, hashOf, newBatch } from './hash-batch.fixture.ts';
import type { HashBatch } from './hash-batch.ts';
import { HashList } from './hash-list.ts';

const PIECES = 10;
const NOW = newBatch().startedAt;

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
  assert.deepEqual(added, { firstIndex: 3, count: 2, isNews: true, changed: [3, 4], replaced: [] });
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

test('a withdrawal holds against its own ingest and older ones, and counts once', () => {
  const list = newList();
  const plain = tenthBatch({ hashes: hashesOf(0, PIECES) });
  list.add(plain);
  assert.equal(list.add(noHashes({ isWithdrawn: true })).isNews, true);
  assert.equal(list.add(noHashes({ isWithdrawn: true })).isNews, false);
  assert.equal(list.add(plain).isNews, false);
  assert.equal(list.isWithdrawn, true);
  const unseen = newList();
  unseen.add(noHashes({ startedAt: NOW, isWithdrawn: true }));
  assert.equal(unseen.add(tenthBatch({ startedAt: NOW - 1 })).isNews, false);
  assert.deepEqual([unseen.isWithdrawn, unseen.knownCount], [true, 0]);
});

test('a withdrawal of an older ingest does not touch a newer one', () => {
  const list = newList();
  list.add(tenthBatch({ startedAt: NOW }));
  assert.equal(list.add(noHashes({ startedAt: NOW - 1, isWithdrawn: true })).isNews, false);
  assert.equal(list.isWithdrawn, false);
});

test('a complete list is final: nobody withdraws it, of whatever ingest', () => {
  for (const startedAt of [NOW - 1, NOW, NOW + 1]) {
    const list = newList();
    const whole = tenthBatch({ startedAt: NOW, hashes: hashesOf(0, PIECES), isComplete: true });
    list.add(whole);
    assert.equal(list.add(noHashes({ startedAt, isWithdrawn: true })).isNews, false);
    assert.equal(list.add(tenthBatch({ startedAt, hashes: hashesOf(5, 3) })).isNews, false);
    assert.deepEqual([list.isWithdrawn, list.isComplete], [false, true]);
  }
});

test('a newer ingest ends a withdrawal, and a complete one does whenever it began', () => {
  for (const change of [{ startedAt: NOW + 1 }, { startedAt: NOW - 1, isComplete: true }]) {
    const list = newList();
    list.add(noHashes({ startedAt: NOW, isWithdrawn: true }));
    list.add(tenthBatch({ ...change, hashes: hashesOf(0, PIECES) }));
    assert.equal(list.isWithdrawn, false);
  }
});

test('hashes of an older ingest are ignored, and are no error', () => {
  const list = newList();
  assert.equal(list.add(noHashes({ startedAt: NOW })).isNews, true);
  assert.equal(list.add(noHashes({ startedAt: NOW })).isNews, false);
  const replay = tenthBatch({ startedAt: NOW - 1, hashes: hashesOf(5, 3) });
  assert.deepEqual(list.add(replay), { firstIndex: 0, count: 0, isNews: false, changed: [], replaced: [] });
  assert.equal(list.knownCount, 0);
});

test('a newer ingest replaces the hashes that it gives, says which, and leaves the others', () => {
  const list = newList();
  list.add(tenthBatch({ startedAt: NOW, hashes: hashesOf(0, 4) }));
  const newer = Buffer.concat([hashesOf(0, 1), hashesOf(7, 1), hashesOf(4, 1)]);
  const added = list.add(tenthBatch({ startedAt: NOW + 1, firstIndex: 0, hashes: newer }));
  assert.deepEqual([added.isNews, added.changed, added.replaced], [true, [1, 2], [1, 2]]);
  assert.deepEqual(Buffer.from(list.hashOf(1) ?? []), hashOf(7));
  assert.deepEqual(Buffer.from(list.hashOf(3) ?? []), hashOf(3));
  assert.deepEqual([list.isCurrent(1), list.isCurrent(3)], [true, false]);
});

test('what a complete ingest signed stands above newer ingests that are not complete', () => {
  const list = newList();
  list.add(tenthBatch({ startedAt: NOW, hashes: hashesOf(5, 3) }));
  const proof = tenthBatch({ startedAt: NOW - 1, hashes: hashesOf(0, 3), isComplete: true });
  const added = list.add(proof);
  assert.deepEqual([added.isNews, added.replaced], [true, [0, 1, 2]]);
  assert.equal(list.add(tenthBatch({ startedAt: NOW, hashes: hashesOf(5, 3) })).isNews, false);
  assert.deepEqual(Buffer.from(list.hashOf(0) ?? []), hashOf(0));
  assert.equal(list.isComplete, false);
});

test('only hashes of the ingest that is complete are proven by its flag', () => {
  const list = newList();
  list.add(tenthBatch({ startedAt: NOW - 1, hashes: hashesOf(0, 5) }));
  list.add(tenthBatch({ startedAt: NOW, firstIndex: 5, hashes: hashesOf(5, 5) }));
  list.add(noHashes({ startedAt: NOW, isComplete: true }));
  assert.equal(list.isComplete, false);
  list.add(tenthBatch({ startedAt: NOW, hashes: hashesOf(0, 5) }));
  assert.equal(list.isComplete, true);
});

// A cluster whose registry lies now and then. Ingest 2 is the first that reads the true blob to its end; all that was ever
// signed is played in any order, as often as an attacker likes.
const ingests = [
  { startedAt: NOW, seed: 100, isTrue: false },
  { startedAt: NOW + 1, seed: 200, isTrue: false },
  { startedAt: NOW + 2, seed: 0, isTrue: true },
  { startedAt: NOW + 3, seed: 300, isTrue: false },
];
const everything = ingests.flatMap(({ startedAt, seed, isTrue }) => [
  noHashes({ startedAt }),
  ...[0, 5].map((firstIndex) => tenthBatch({ startedAt, firstIndex, hashes: hashesOf(seed + firstIndex, 5) })),
  isTrue
    ? tenthBatch({ startedAt, hashes: hashesOf(seed, PIECES), isComplete: true })
    : noHashes({ startedAt, isWithdrawn: true }),
]);

test('whatever is replayed in whatever order, a list that has heard the complete ingest is true and final', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: everything.length - 1 }), { maxLength: 60 }), (order) => {
      const list = newList();
      let newest = 0;
      for (const at of order) {
        const batch = everything[at] as HashBatch;
        const wasComplete = list.isComplete;
        const before = list.hashOf(0)?.toString();
        const { isNews, changed } = list.add(batch);
        if (!wasComplete) newest = Math.max(newest, batch.startedAt);
        assert.ok(!(wasComplete && (isNews || changed.length > 0)));
        assert.equal(changed.includes(0), list.hashOf(0)?.toString() !== before);
        if (!list.isComplete && list.isWithdrawn) assert.equal(list.startedAt, newest);
      }
      const isProven = order.some((at) => everything[at]?.isComplete);
      assert.equal(list.isComplete, isProven);
      if (!isProven) return;
      assert.equal(list.isWithdrawn, false);
      for (let index = 0; index < PIECES; index += 1)
        assert.deepEqual(Buffer.from(list.hashOf(index) ?? []), hashOf(index));
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('the newest ingest wins piece by piece, whatever is replayed before and after it', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(everything.filter(({ isComplete, isWithdrawn }) => !isComplete && !isWithdrawn)),
      (all) => {
        const list = newList();
        for (const batch of all) list.add(batch);
        const newest = all.filter(({ startedAt }) => startedAt === list.startedAt);
        assert.equal(list.startedAt, Math.max(0, ...all.map(({ startedAt }) => startedAt)));
        for (const { firstIndex, hashes } of newest) {
          for (let at = 0; at < hashes.length / 32; at += 1)
            assert.deepEqual(Buffer.from(list.hashOf(firstIndex + at) ?? []), hashes.subarray(at * 32, at * 32 + 32));
        }
      },
    ),
    { seed: 1, numRuns: 300 },
  );
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
  ['with a second hash for a piece', { firstIndex: 2, hashes: hashesOf(7, 2), isComplete: false }],
  ['that runs beyond the last piece', { firstIndex: 9, hashes: hashesOf(9, 2) }],
  ['with half a hash', { firstIndex: 5, hashes: Buffer.alloc(48) }],
];

for (const [what, change] of contradictions) {
  test(`a batch ${what} is refused and changes nothing`, () => {
    const list = newList();
    list.add(tenthBatch({ hashes: hashesOf(0, 3) }));
    const batch = tenthBatch({ isComplete: true, ...change });
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
