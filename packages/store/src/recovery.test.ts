import assert from 'node:assert/strict';
import { open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { BLOCK_LENGTH } from '@sealift/core';
import type { BlobStore } from './blob-store.ts';
import {
  creationOf,
  directoryOf,
  fill,
  inTemporaryDirectory,
  isPieceRight,
  pretendKill,
  pretendPowerLoss,
  recordingLogger,
  storeOf,
  type TestBlob,
  testBlob,
  withStore,
  writeTestPiece,
} from './store-fixture.ts';
import type { StoredBlob } from './stored-blob.ts';

/** A stopped store that holds `blobs`, complete. */
async function storeWith(directory: string, ...blobs: readonly TestBlob[]): Promise<void> {
  await withStore(directory, async (store) => {
    for (const blob of blobs) {
      const stored = await store.create(creationOf(blob));
      await fill(stored, blob);
      await stored.appendHashes(Buffer.from('batch'));
      await stored.markComplete();
    }
  });
}

async function overwrite(path: string, position: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, position);
  await file.close();
}

test(
  'after a power loss a piece that the disk lost is missing, and the others count again',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob(10 * BLOCK_LENGTH);
    await storeWith(directory, blob);
    const files = await directoryOf(directory, blob);
    await overwrite(join(files, 'data'), 3 * BLOCK_LENGTH, Buffer.alloc(100));
    await overwrite(join(files, 'pieces'), 5 * 32, Buffer.alloc(32, 1));
    await pretendPowerLoss(directory);
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      assert.equal(stored.bitfield.count, 8);
      assert.equal(stored.isComplete, false);
      for (const index of [3, 5])
        await assert.rejects(stored.read(index * BLOCK_LENGTH, Buffer.alloc(1)), { code: 'PIECE_MISSING' });
      for (const index of [0, 4, 9]) assert.equal(await isPieceRight(stored, blob, index), true);
      for (const index of [3, 5]) await writeTestPiece(stored, blob, index);
      await stored.markComplete();
    });
    await withStore(directory, async (store) => assert.equal(store.get(blob.swarmId)?.isComplete, true));
  }),
);

test(
  'a blob is not shown after a power loss before it is checked, and listeners learn when it is',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await storeWith(directory, blob);
    await pretendPowerLoss(directory);
    const store = storeOf(directory);
    const recovered = nextRecovered(store);
    await store.start();
    assert.equal(store.get(blob.swarmId), undefined);
    assert.deepEqual(store.list(), []);
    const stored = await recovered;
    assert.equal(store.get(blob.swarmId), stored);
    assert.equal(stored.isComplete, true);
    await store.stop();
  }),
);

test(
  'a check that was cut off is not taken for done, whatever ended it',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob(20 * BLOCK_LENGTH);
    await storeWith(directory, blob);
    const files = await directoryOf(directory, blob);
    await overwrite(join(files, 'data'), 19 * BLOCK_LENGTH, Buffer.alloc(100));
    await pretendPowerLoss(directory);
    for (const pretend of [pretendKill, async () => {}, pretendPowerLoss]) {
      const store = storeOf(directory);
      await store.start();
      await store.stop();
      await pretend(directory);
    }
    await withStore(directory, async (store) => {
      assert.equal((await store.create(creationOf(blob))).bitfield.count, 19);
    });
  }),
);

test(
  'after kill -9 in the same boot nothing is hashed again',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await storeWith(directory, blob);
    await pretendKill(directory);
    await withStore(directory, async (store) => assert.equal(store.get(blob.swarmId)?.isComplete, true));
  }),
);

test(
  'a store that waits for a check can be stopped and can evict what is not checked',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob(20 * BLOCK_LENGTH);
    await storeWith(directory, blob);
    await pretendPowerLoss(directory);
    const other = testBlob(20 * BLOCK_LENGTH);
    await withStore(
      directory,
      async (store) => {
        store.onEvicted(() => assert.fail('nobody knew that blob'));
        await store.create(creationOf(other));
        assert.equal(store.get(blob.swarmId), undefined);
      },
      { quotaBytes: 600_000 },
    );
  }),
);

test(
  'verify drops what the disk has changed and keeps the rest',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await storeWith(directory, blob);
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      assert.deepEqual(await stored.verify(), { checked: 3, dropped: [] });
      await overwrite(join(await directoryOf(directory, blob), 'data'), BLOCK_LENGTH + 7, Buffer.from('rot'));
      assert.deepEqual(await stored.verify(), { checked: 3, dropped: [1] });
      assert.equal(stored.isComplete, false);
      await assert.rejects(stored.read(BLOCK_LENGTH, Buffer.alloc(1)), { code: 'PIECE_MISSING' });
      assert.deepEqual(await stored.verify({ signal: AbortSignal.abort() }), { checked: 0, dropped: [] });
    });
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      assert.equal(stored.bitfield.count, 2);
      assert.equal(await writeTestPiece(stored, blob, 1), true);
      assert.equal(await isPieceRight(stored, blob, 1), true);
    });
  }),
);

const corruptions: Readonly<Record<string, (files: string) => Promise<void>>> = {
  'meta.json is no JSON': (files) => writeFile(join(files, 'meta.json'), '{"format":1,'),
  'meta.json is empty': (files) => writeFile(join(files, 'meta.json'), ''),
  'meta.json names another swarm': async (files) => {
    const meta = JSON.parse(await readFile(join(files, 'meta.json'), 'utf8')) as object;
    await writeFile(join(files, 'meta.json'), JSON.stringify({ ...meta, swarmId: 'ab'.repeat(20) }));
  },
  'meta.json is huge': (files) => truncate(join(files, 'meta.json'), 2 ** 30),
  'data is cut': (files) => truncate(join(files, 'data'), 10),
  'data is missing': (files) => rm(join(files, 'data')),
  'pieces is cut': (files) => truncate(join(files, 'pieces'), 33),
  'bitmap is missing': (files) => rm(join(files, 'bitmap')),
  'bitmap is empty': (files) => truncate(join(files, 'bitmap'), 0),
  'bitmap has a spare bit': (files) => writeFile(join(files, 'bitmap'), Buffer.of(0xff)),
  'hashes is huge': (files) => truncate(join(files, 'hashes'), 2 ** 30),
};

for (const [name, corrupt] of Object.entries(corruptions)) {
  test(
    `a blob is dropped with a log line when its ${name}, and the others stay`,
    inTemporaryDirectory(async (directory) => {
      const [bad, good] = [testBlob(), testBlob()];
      await storeWith(directory, bad, good);
      await corrupt(await directoryOf(directory, bad));
      const log = recordingLogger();
      await withStore(
        directory,
        async (store) => {
          assert.equal(store.get(bad.swarmId), undefined);
          assert.equal(store.get(good.swarmId)?.isComplete, true);
          assert.equal(log.events.filter((event) => event === 'store_blob_dropped').length, 1);
          assert.equal((await store.create(creationOf(bad))).bitfield.count, 0);
        },
        { log },
      );
      await directoryOf(directory, bad);
    }),
  );
}

test(
  'half-made and half-deleted directories are cleaned up at start',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await storeWith(directory, blob);
    await rm(join(await directoryOf(directory, blob), 'meta.json'));
    await withStore(directory, async (store) => {
      assert.deepEqual(store.list(), []);
      assert.deepEqual(await readdir(join(directory, 'blobs', blob.swarmId.slice(0, 2))), []);
    });
  }),
);

test(
  'a bit without a piece hash makes the whole blob be checked',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await withStore(directory, async (store) => {
      await writeTestPiece(await store.create(creationOf(blob)), blob, 0);
    });
    await writeFile(join(await directoryOf(directory, blob), 'bitmap'), Buffer.of(0b1110_0000));
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      assert.deepEqual(
        [0, 1, 2].map((index) => stored.bitfield.has(index)),
        [true, false, false],
      );
    });
  }),
);

test(
  'a torn record at the end of the hash list is cut off',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await storeWith(directory, blob);
    const path = join(await directoryOf(directory, blob), 'hashes');
    const whole = await readFile(path);
    await writeFile(path, Buffer.concat([whole, whole.subarray(0, whole.length - 1)]));
    await withStore(directory, async (store) => {
      assert.deepEqual(store.get(blob.swarmId)?.hashRecords.map(String), ['batch']);
      assert.deepEqual(await readFile(path), whole);
      await store.get(blob.swarmId)?.appendHashes(Buffer.from('next'));
    });
    await withStore(directory, async (store) => {
      assert.deepEqual(store.get(blob.swarmId)?.hashRecords.map(String), ['batch', 'next']);
    });
  }),
);

test(
  'a missing or senseless session marker counts as a power loss',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await storeWith(directory, blob);
    for (const text of ['', 'null', '{"bootId":1}', '[]', '{"isClean":true']) {
      await writeFile(join(directory, 'session.json'), text);
      const store = storeOf(directory);
      const recovered = nextRecovered(store);
      await store.start();
      assert.equal(store.get(blob.swarmId), undefined);
      await recovered;
      await store.stop();
    }
  }),
);

function nextRecovered(store: BlobStore): Promise<StoredBlob> {
  return new Promise((resolve) => store.onRecovered(resolve));
}
