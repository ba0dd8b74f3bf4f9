import assert from 'node:assert/strict';
import { open, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Bitfield } from '@sealift/core';
import { SharedBlob } from './shared-blob.ts';
import {
  creationOf,
  fill,
  inTemporaryDirectory,
  pieceOf,
  testBlob,
  withStore,
  writeTestPiece,
} from './store-fixture.ts';
import type { StoredBlob } from './stored-blob.ts';

/** What another process would be told of a blob now. */
function copyOf({ geometry, bitfield }: StoredBlob) {
  return { geometry, bitfield: Bitfield.fromBytes(bitfield.toBytes(), geometry.pieceCount) };
}

test(
  'what the store has verified can be read from outside, and no piece before its owner has told of it',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      await writeTestPiece(stored, blob, 0);
      const shared = await SharedBlob.open(stored.dataFile, copyOf(stored));
      const [first, second] = [pieceOf(blob, 0), pieceOf(blob, 1)];
      const into = Buffer.alloc(first.length);
      await shared.read(0, into);
      assert.deepEqual(into, first);
      await writeTestPiece(stored, blob, 1);
      await assert.rejects(shared.read(first.length, into), { code: 'PIECE_MISSING' });
      shared.bitfield.add(1);
      await shared.read(first.length, into);
      assert.deepEqual(into, second);
      shared.close();
      await assert.rejects(shared.read(0, into), { code: 'STORE_CLOSED' });
    }),
  ),
);

test(
  'a blob that is deleted or made anew stays readable as it was',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      await fill(stored, blob);
      const shared = await SharedBlob.open(stored.dataFile, copyOf(stored));
      await store.delete(blob.swarmId);
      await store.create(creationOf(blob));
      const into = Buffer.alloc(blob.bytes.length);
      await shared.read(0, into);
      assert.deepEqual(into, blob.bytes);
      shared.close();
    }),
  ),
);

test(
  'a file of another size, a link and a file that is not there are no blobs',
  inTemporaryDirectory((directory) =>
    withStore(directory, async (store) => {
      const blob = testBlob();
      const stored = await store.create(creationOf(blob));
      const link = join(directory, 'link');
      await symlink(stored.dataFile, link);
      for (const path of [link, join(directory, 'nothing')]) {
        await assert.rejects(SharedBlob.open(path, copyOf(stored)), { code: 'STORE_FAULT' });
      }
      await using file = await open(stored.dataFile, 'r+');
      await file.truncate(blob.bytes.length - 1);
      await assert.rejects(SharedBlob.open(stored.dataFile, copyOf(stored)), { code: 'STORE_FAULT' });
    }),
  ),
);
