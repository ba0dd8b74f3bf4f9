import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { BLOCK_LENGTH, pieceGeometry } from '@sealift/core';
import { footprint } from './quota.ts';
import {
  creationOf,
  directoryOf,
  fill,
  inTemporaryDirectory,
  isPieceRight,
  pieceOf,
  sha256,
  storeOf,
  testBlob,
  withStore,
  writeTestPiece,
} from './store-fixture.ts';

test(
  'a piece that is written can be read, and no other',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      assert.equal(await writeTestPiece(stored, blob, 1), true);
      assert.equal(await isPieceRight(stored, blob, 1), true);
      await assert.rejects(stored.read(0, Buffer.alloc(1)), { code: 'PIECE_MISSING' });
      await assert.rejects(stored.read(BLOCK_LENGTH - 1, Buffer.alloc(2)), { code: 'PIECE_MISSING' });
      await assert.rejects(stored.read(2 * BLOCK_LENGTH - 1, Buffer.alloc(2)), { code: 'PIECE_MISSING' });
    }),
  ),
);

test(
  'a read outside of the blob is refused',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      await fill(stored, blob);
      for (const offset of [-1, 0.5, Number.NaN, blob.bytes.length]) {
        await assert.rejects(stored.read(offset, Buffer.alloc(1)), { code: 'PIECE_MISSING' });
      }
    }),
  ),
);

test(
  'pieces in doubt are gone at once and come back if they are held under that very hash, for good',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      await fill(stored, blob);
      await stored.markComplete();
      const confirming = stored.confirm([
        { index: 0, sha256: sha256(pieceOf(blob, 0)) },
        { index: 1, sha256: sha256(Buffer.from('another piece')) },
      ]);
      assert.deepEqual([stored.bitfield.has(0), stored.bitfield.has(1)], [false, false]);
      await assert.rejects(stored.read(0, Buffer.alloc(1)), { code: 'PIECE_MISSING' });
      assert.deepEqual(await confirming, [0]);
      assert.equal(stored.isComplete, false);
    });
    await withStore(directory, async (store) => {
      const stored = store.get(blob.swarmId);
      assert.ok(stored);
      assert.deepEqual(
        [0, 1, 2].map((index) => stored.bitfield.has(index)),
        [true, false, true],
      );
      assert.equal(stored.isComplete, false);
      assert.equal(await writeTestPiece(stored, blob, 1), true);
    });
  }),
);

test(
  'a piece that is not there is not put back by confirming it',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      assert.deepEqual(await stored.confirm([{ index: 0, sha256: sha256(pieceOf(blob, 0)) }]), []);
      assert.equal(stored.bitfield.count, 0);
    }),
  ),
);

test(
  'a piece that fails its hash is refused, is not stored, and gives its buffer back',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      const data = new ArrayBuffer(BLOCK_LENGTH);
      const { verified, buffer } = await stored.writePiece(0, data, sha256(pieceOf(blob, 0)));
      assert.equal(verified, false);
      assert.equal(buffer.byteLength, BLOCK_LENGTH);
      assert.equal(data.detached, true);
      assert.equal(stored.bitfield.count, 0);
      await assert.rejects(stored.read(0, Buffer.alloc(1)), { code: 'PIECE_MISSING' });
    }),
  ),
);

test(
  'two writers of the same piece both succeed and do no damage',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      const writes = Array.from({ length: 20 }, (_, turn) => writeTestPiece(stored, blob, turn % 3));
      assert.deepEqual(new Set(await Promise.all(writes)), new Set([true]));
      for (const index of [0, 1, 2]) assert.equal(await isPieceRight(stored, blob, index), true);
      assert.equal(stored.bitfield.isFull, true);
    }),
  ),
);

test(
  'a held piece is not replaced by other bytes that match another hash',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      await writeTestPiece(stored, blob, 0);
      const other = new ArrayBuffer(BLOCK_LENGTH);
      await assert.rejects(stored.writePiece(0, other, sha256(new Uint8Array(BLOCK_LENGTH))), {
        code: 'PIECE_REJECTED',
      });
      assert.equal(await isPieceRight(stored, blob, 0), true);
    }),
  ),
);

test(
  'a piece from the source is kept as it is and its hash told; one that is held already stays, and no other replaces it',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      const data = new ArrayBuffer(BLOCK_LENGTH);
      new Uint8Array(data).set(pieceOf(blob, 0));
      const taken = await stored.takePiece(0, data);
      assert.deepEqual(Buffer.from(taken.sha256), sha256(pieceOf(blob, 0)));
      assert.equal(taken.buffer.byteLength, BLOCK_LENGTH);
      assert.equal(stored.proven.has(0), true);
      const again = await stored.takePiece(0, taken.buffer);
      assert.deepEqual(Buffer.from(again.sha256), Buffer.from(taken.sha256));
      await assert.rejects(stored.takePiece(0, new ArrayBuffer(BLOCK_LENGTH)), { code: 'PIECE_REJECTED' });
      await assert.rejects(stored.takePiece(1, new ArrayBuffer(10)), { code: 'PIECE_REJECTED' });
      assert.equal(await isPieceRight(stored, blob, 0), true);
      assert.equal(stored.bitfield.has(1), false);
    }),
  ),
);

test(
  'a write that makes no sense is refused',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const stored = await store.create(creationOf(testBlob()));
      const hash = new Uint8Array(32);
      for (const index of [-1, 3, 0.5, Number.NaN]) {
        await assert.rejects(stored.writePiece(index, new ArrayBuffer(BLOCK_LENGTH), hash), { code: 'PIECE_REJECTED' });
      }
      await assert.rejects(stored.writePiece(0, new ArrayBuffer(10), hash), { code: 'PIECE_REJECTED' });
      await assert.rejects(stored.writePiece(0, new ArrayBuffer(BLOCK_LENGTH), hash.subarray(1)), {
        code: 'PIECE_REJECTED',
      });
    }),
  ),
);

test(
  'a blob is complete only when all pieces are there and it was said so',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      await assert.rejects(stored.markComplete(), { code: 'PIECE_MISSING' });
      await fill(stored, blob);
      assert.equal(stored.isComplete, false);
      await stored.markComplete();
      assert.equal(stored.isComplete, true);
    });
    await withStore(directory, async (store) => assert.equal(store.get(blob.swarmId)?.isComplete, true));
  }),
);

test(
  'a restart resumes a half-done blob, its hash list included',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      await writeTestPiece(stored, blob, 2);
      await stored.appendHashes(Buffer.from('first'));
      await stored.appendHashes(Buffer.from('second'));
    });
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      assert.deepEqual(stored.hashRecords.map(String), ['first', 'second']);
      assert.equal(stored.bitfield.count, 1);
      assert.equal(await isPieceRight(stored, blob, 2), true);
      await stored.replaceHashes([Buffer.from('all')]);
      await stored.appendHashes(Buffer.from('more'));
    });
    await withStore(directory, async (store) => {
      assert.deepEqual(store.get(blob.swarmId)?.hashRecords.map(String), ['all', 'more']);
      assert.deepEqual(
        store.list().map(({ digest }) => digest),
        [blob.digest],
      );
    });
  }),
);

test(
  'what an earlier process left is proven before it is given to anybody, and gone where the disk has changed it',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    const dataFile = await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      await fill(stored, blob);
      await stored.markComplete();
      assert.equal(stored.proven.isFull, true, 'whoever writes a piece has hashed it');
      return stored.dataFile;
    });
    const bytes = await readFile(dataFile);
    bytes[blob.geometry.pieceLength + 5] = ~(bytes[blob.geometry.pieceLength + 5] ?? 0);
    await writeFile(dataFile, bytes);
    await withStore(directory, async (store) => {
      const stored = store.get(blob.swarmId);
      assert.ok(stored);
      assert.deepEqual([stored.isComplete, stored.proven.count], [true, 0]);
      const proofs = [0, 1, 1, 2].map((index) => stored.prove(index));
      assert.deepEqual(await Promise.all(proofs), [true, false, false, true]);
      assert.deepEqual([stored.isComplete, stored.bitfield.has(1), stored.proven.count], [false, false, 2]);
      await assert.rejects(stored.prove(1), { code: 'PIECE_MISSING' });
      assert.equal(await writeTestPiece(stored, blob, 1), true);
      assert.equal(stored.proven.isFull, true);
    });
  }),
);

test(
  'a hash list longer than honest ones is refused',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const stored = await store.create(creationOf(testBlob()));
      await stored.appendHashes(Buffer.alloc(4000));
      await assert.rejects(stored.appendHashes(Buffer.alloc(4000)), { code: 'STORE_FULL' });
      await assert.rejects(stored.appendHashes(Buffer.alloc(0)), { code: 'STORE_FULL' });
      assert.equal(stored.hashRecords.length, 1);
    }),
  ),
);

test(
  'create gives the same object to all who ask for a swarm',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const all = await Promise.all([1, 2, 3].map(() => store.create(creationOf(blob))));
      assert.equal(new Set([...all, store.get(blob.swarmId)]).size, 1);
      assert.equal(store.usedBytes, footprint(blob.geometry));
    }),
  ),
);

test(
  'a swarm with another geometry replaces the held blob, but not one in use',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob(10 * BLOCK_LENGTH);
      const other = { ...blob, geometry: pieceGeometry(blob.bytes.length, 2 * BLOCK_LENGTH) };
      const unpin = (await store.create(creationOf(blob))).pin();
      await assert.rejects(store.create(creationOf(other)), { code: 'GEOMETRY_INVALID' });
      unpin();
      const stored = await store.create(creationOf(other));
      assert.equal(stored.geometry.pieceCount, 5);
      assert.equal(await writeTestPiece(stored, other, 4), true);
    }),
  ),
);

test(
  'a deleted blob stays readable while it is pinned, and a new one can take its place',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    await withStore(directory, async (store) => {
      const stored = await store.create(creationOf(blob));
      await fill(stored, blob);
      const unpin = stored.pin();
      await store.delete(blob.swarmId);
      assert.equal(store.get(blob.swarmId), undefined);
      assert.equal(await isPieceRight(stored, blob, 0), true);
      assert.throws(() => stored.pin(), { code: 'STORE_CLOSED' });
      const again = await store.create(creationOf(blob));
      assert.equal(again.bitfield.count, 0);
      unpin();
      unpin();
      await assert.rejects(stored.read(0, Buffer.alloc(1)), { code: 'STORE_CLOSED' });
      assert.equal(await writeTestPiece(again, blob, 0), true);
    });
    await withStore(directory, async (store) => assert.equal(store.get(blob.swarmId)?.bitfield.count, 1));
    await directoryOf(directory, blob);
  }),
);

test(
  'stop is safe twice, refuses further calls, and a store can start again',
  inTemporaryDirectory(async (directory) => {
    const blob = testBlob();
    const store = storeOf(directory);
    await assert.rejects(store.create(creationOf(blob)), { code: 'STORE_CLOSED' });
    await store.stop();
    await Promise.all([store.start(), store.start()]);
    const stored = await store.create(creationOf(blob));
    const unpin = stored.pin();
    const write = writeTestPiece(stored, blob, 0);
    await Promise.all([store.stop(), store.stop()]);
    assert.equal(await write, true);
    await assert.rejects(stored.read(0, Buffer.alloc(1)), { code: 'STORE_CLOSED' });
    await assert.rejects(writeTestPiece(stored, blob, 1), { code: 'STORE_CLOSED' });
    await assert.rejects(store.create(creationOf(blob)), { code: 'STORE_CLOSED' });
    unpin();
    await store.start();
    assert.equal(store.get(blob.swarmId)?.bitfield.count, 1);
    await store.stop();
  }),
);

test(
  'files are for the owner alone and the data file is sparse',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob(4 * 1024 * 1024);
      await writeTestPiece(await store.create(creationOf(blob)), blob, 5);
      assert.equal((await stat(directory)).mode & 0o777, 0o700);
      const files = await directoryOf(directory, blob);
      assert.equal((await stat(files)).mode & 0o777, 0o700);
      for (const name of await readdir(files)) assert.equal((await stat(join(files, name))).mode & 0o777, 0o600, name);
      assert.ok((await stat(join(files, 'data'))).blocks * 512 < 1024 * 1024);
    }),
  ),
);

test(
  'more blobs than may be open at once can all be used',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blobs = Array.from({ length: 80 }, () => testBlob(100));
      const work = blobs.map(async (blob) => {
        const stored = await store.create(creationOf(blob));
        await writeTestPiece(stored, blob, 0);
        return isPieceRight(stored, blob, 0);
      });
      assert.deepEqual(new Set(await Promise.all(work)), new Set([true]));
      const open = await readdir('/proc/self/fd');
      assert.ok(open.length < 64 * 3 + 40, `${open.length} files are open`);
    }),
  ),
);
