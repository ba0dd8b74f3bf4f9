import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { BLOCK_LENGTH } from '@sealift/core';
import { chooseVictims, footprint } from './quota.ts';
import {
  creationOf,
  directoryOf,
  fill,
  inTemporaryDirectory,
  isPieceRight,
  testBlob,
  withStore,
} from './store-fixture.ts';
import type { StoredBlob } from './stored-blob.ts';

const one = footprint(testBlob().geometry);

test('a footprint counts the whole blob and its metadata', () => {
  const { geometry } = testBlob(100 * BLOCK_LENGTH);
  assert.ok(footprint(geometry) > geometry.size + 32 * 100);
});

test('the least recently used blobs go first, pinned ones never, and none for nothing', () => {
  const blobs = [
    { name: 'pinned', footprint: 10, lastUsedAt: 0, isPinned: true },
    { name: 'new', footprint: 10, lastUsedAt: 3, isPinned: false },
    { name: 'old', footprint: 10, lastUsedAt: 1, isPinned: false },
    { name: 'middle', footprint: 10, lastUsedAt: 2, isPinned: false },
  ];
  const namesFor = (bytes: number) => chooseVictims(blobs, bytes)?.map(({ name }) => name);
  assert.deepEqual(namesFor(0), []);
  assert.deepEqual(namesFor(1), ['old']);
  assert.deepEqual(namesFor(11), ['old', 'middle']);
  assert.equal(namesFor(31), undefined);
});

test(
  'a full store evicts the blob that was used least recently and tells so before its files vanish',
  inTemporaryDirectory((directory) => {
    let now = 1_000_000;
    const clock = { now: () => now };
    return withStore(
      directory,
      async (store) => {
        const [first, second, third] = [testBlob(), testBlob(), testBlob()];
        const storedFirst = await store.create(creationOf(first));
        await fill(storedFirst, first);
        now += 1000;
        const storedSecond = await store.create(creationOf(second));
        await fill(storedSecond, second);
        now += 1000;
        assert.equal(await isPieceRight(storedFirst, first, 0), true);
        const files = await directoryOf(directory, second);
        const evicted: { blob: StoredBlob; isListed: boolean; hasFiles: boolean }[] = [];
        store.onEvicted((blob) => {
          evicted.push({ blob, isListed: store.get(blob.swarmId) !== undefined, hasFiles: existsSync(files) });
        });
        await store.create(creationOf(third));
        assert.deepEqual(evicted, [{ blob: storedSecond, isListed: false, hasFiles: true }]);
        assert.equal(existsSync(files), false);
        assert.equal(store.usedBytes, 2 * one);
        await assert.rejects(storedSecond.read(0, Buffer.alloc(1)), { code: 'STORE_CLOSED' });
      },
      { quotaBytes: 2 * one, clock },
    );
  }),
);

test(
  'pinned blobs are never evicted: a store full of them is full',
  inTemporaryDirectory((directory) =>
    withStore(
      directory,
      async (store) => {
        const blobs = [testBlob(), testBlob()];
        const unpins: (() => void)[] = [];
        for (const blob of blobs) unpins.push((await store.create(creationOf(blob))).pin());
        await assert.rejects(store.create(creationOf(testBlob())), { code: 'STORE_FULL' });
        unpins[0]?.();
        await store.create(creationOf(testBlob()));
        assert.deepEqual(
          blobs.map(({ swarmId }) => store.get(swarmId) !== undefined),
          [false, true],
        );
      },
      { quotaBytes: 2 * one },
    ),
  ),
);

test(
  'a blob that alone exceeds the quota is refused and evicts nothing',
  inTemporaryDirectory((directory) =>
    withStore(
      directory,
      async (store) => {
        await store.create(creationOf(testBlob()));
        await assert.rejects(store.create(creationOf(testBlob(100 * BLOCK_LENGTH))), { code: 'STORE_FULL' });
        assert.equal(store.list().length, 1);
      },
      { quotaBytes: 2 * one },
    ),
  ),
);

test(
  'parallel downloads cannot overshoot the quota',
  inTemporaryDirectory((directory) =>
    withStore(
      directory,
      async (store) => {
        const creations = Array.from({ length: 10 }, async () => (await store.create(creationOf(testBlob()))).pin());
        const results = await Promise.allSettled(creations);
        assert.ok(store.usedBytes <= store.quotaBytes);
        assert.ok(results.some(({ status }) => status === 'rejected'));
      },
      { quotaBytes: 3 * one },
    ),
  ),
);

test(
  'what a pin still holds counts until it is let go',
  inTemporaryDirectory((directory) =>
    withStore(
      directory,
      async (store) => {
        const blob = testBlob();
        const unpin = (await store.create(creationOf(blob))).pin();
        await store.delete(blob.swarmId);
        assert.equal(store.usedBytes, one);
        await assert.rejects(store.create(creationOf(testBlob())), { code: 'STORE_FULL' });
        unpin();
      },
      { quotaBytes: one },
    ),
  ),
);

test(
  'a store that starts with a smaller quota shrinks to it, oldest first',
  inTemporaryDirectory(async (directory) => {
    let now = 1_000_000;
    const clock = { now: () => now };
    const first = testBlob();
    const blobs = [first, testBlob(), testBlob()];
    await withStore(
      directory,
      async (store) => {
        for (const blob of blobs) {
          await store.create(creationOf(blob));
          now += 1000;
        }
        store.get(first.swarmId)?.pin()();
      },
      { clock },
    );
    await withStore(
      directory,
      async (store) => {
        assert.deepEqual(
          blobs.map(({ swarmId }) => store.get(swarmId) !== undefined),
          [true, false, true],
        );
        assert.equal(store.usedBytes, 2 * one);
      },
      { clock, quotaBytes: 2 * one },
    );
  }),
);
