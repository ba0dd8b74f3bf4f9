import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { BLOCK_LENGTH, isAppError } from '@sealift/core';
import {
  creationOf,
  directoryOf,
  fill,
  inTemporaryDirectory,
  isPieceRight,
  recordingLogger,
  storeOf,
  testBlob,
  withStore,
  writeTestPiece,
} from './store-fixture.ts';

const isRoot = process.getuid?.() === 0;
const skip = isRoot ? false : 'mounting a small tmpfs needs root';

/** Runs `work` in a file system of 1 MiB. */
function onSmallDisk(work: (directory: string) => Promise<void>): () => Promise<void> {
  return inTemporaryDirectory(async (mountPoint) => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', mountPoint]);
    try {
      await work(join(mountPoint, 'store'));
    } finally {
      execFileSync('umount', [mountPoint]);
    }
  });
}

test(
  'a full disk refuses pieces with STORE_FULL, marks none of them, and serves what it has',
  { skip },
  onSmallDisk((directory) => {
    const log = recordingLogger();
    const clock = shiftedClock();
    return withStore(
      directory,
      async (store) => {
        const blob = testBlob(128 * BLOCK_LENGTH);
        const stored = await store.create(creationOf(blob));
        const results = await Promise.allSettled(
          Array.from({ length: 128 }, (_, index) => writeTestPiece(stored, blob, index)),
        );
        const failures = results.filter((result) => result.status === 'rejected');
        assert.ok(failures.length > 0);
        for (const { reason } of failures) {
          assert.ok(isAppError(reason, 'STORE_FULL'));
          assert.equal((reason.cause as NodeJS.ErrnoException).code, 'ENOSPC');
        }
        for (const [index, { status }] of results.entries()) {
          assert.equal(stored.bitfield.has(index), status === 'fulfilled');
          if (status === 'fulfilled') assert.equal(await isPieceRight(stored, blob, index), true);
        }
        assert.deepEqual((await stored.verify()).dropped, []);
        assert.equal(log.events.filter((event) => event === 'store_disk_failed').length, 1);
        // What a restart would find is what counts: a bit on the disk without its piece would be served then.
        const marked = stored.bitfield.toBytes();
        assert.deepEqual(await readFile(join(await directoryOf(directory, blob), 'bitmap')), marked);
        await store.delete(blob.swarmId);
        clock.offsetMs = 10_000;
        const small = testBlob();
        assert.equal(await writeTestPiece(await store.create(creationOf(small)), small, 0), true);
      },
      { log, clock },
    );
  }),
);

test(
  'a store on a full disk starts and stops, and a hash list survives a failed append',
  { skip },
  onSmallDisk(async (directory) => {
    const blob = testBlob();
    const ballast = join(directory, 'ballast');
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      await writeTestPiece(stored, blob, 0);
      await stored.appendHashes(Buffer.from('batch'));
      await fillDisk(ballast);
      await assert.rejects(stored.appendHashes(randomFillSync(Buffer.alloc(4200))), { code: 'STORE_FULL' });
      await assert.rejects(stored.replaceHashes([Buffer.from('new')]), { code: 'STORE_FULL' });
      assert.deepEqual(stored.hashRecords.map(String), ['batch']);
    });
    await withStore(directory, async (store) => {
      const stored = store.get(blob.swarmId);
      assert.deepEqual(stored?.hashRecords.map(String), ['batch']);
      await assert.rejects(store.create(creationOf(testBlob())), { code: 'STORE_FULL' });
      await rm(ballast);
      await stored?.appendHashes(Buffer.from('second'));
    });
    await withStore(directory, async (store) => {
      assert.deepEqual(store.get(blob.swarmId)?.hashRecords.map(String), ['batch', 'second']);
    });
  }),
);

test(
  'a disk that became read-only refuses pieces with the cause and serves what it has',
  { skip },
  onSmallDisk((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      await writeTestPiece(stored, blob, 0);
      await store.stop();
      const remount = (mode: string) => execFileSync('mount', ['-o', `remount,${mode}`, join(directory, '..')]);
      remount('ro');
      try {
        await assert.rejects(storeOf(directory).start(), (error: Error) => {
          assert.ok(isAppError(error, 'STORE_FAULT'));
          return true;
        });
      } finally {
        remount('rw');
      }
      await store.start();
      assert.equal(store.get(blob.swarmId)?.bitfield.count, 1);
    }),
  ),
);

test(
  'a full disk is left alone for a while, said once, and used again when it has room, which is said too',
  { skip },
  onSmallDisk(async (directory) => {
    const log = recordingLogger();
    const clock = shiftedClock();
    const ballast = join(directory, 'ballast');
    await withStore(
      directory,
      async (store) => {
        const blob = testBlob();
        const stored = await store.create(creationOf(blob));
        await writeTestPiece(stored, blob, 0);
        await fillDisk(ballast);
        await assert.rejects(writeTestPiece(stored, blob, 1), { code: 'STORE_FULL' });
        await assert.rejects(writeTestPiece(stored, blob, 2), { code: 'STORE_FULL' });
        await rm(ballast);
        // Nobody finds out before the pause is over.
        const other = testBlob();
        await assert.rejects(store.create(creationOf(other)), { code: 'STORE_FULL' });
        assert.deepEqual(diskEvents(log.events), ['store_disk_failed']);
        clock.offsetMs = 10_000;
        await fill(await store.create(creationOf(other)), other);
        await fill(stored, blob);
        assert.deepEqual(diskEvents(log.events), ['store_disk_failed', 'store_disk_recovered']);
        assert.deepEqual((await stored.verify()).dropped, []);
      },
      { log, clock },
    );
  }),
);

/** The machine's clock, which a test can put forward. */
function shiftedClock(): { offsetMs: number; now(): number } {
  const clock = { offsetMs: 0, now: (): number => Date.now() + clock.offsetMs };
  return clock;
}

function diskEvents(events: readonly string[]): string[] {
  return events.filter((event) => event.startsWith('store_disk_'));
}

async function fillDisk(path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (;;) await file.write(Buffer.alloc(4096));
  } catch {
    // Full: that was the aim.
  } finally {
    await file.close();
  }
}
