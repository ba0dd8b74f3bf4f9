import { BLOCK_LENGTH, silentLogger, systemClock } from '@sealift/core';
import { BlobStore } from './blob-store.ts';
import { footprint } from './quota.ts';
import { creationOf, pieceOf, sha256, type TestBlob, testBlobOf } from './store-fixture.ts';

// The victim of crash.test.ts: fills a store as fast as it can, until it is killed. Not part of the package.

const PIECES = 32;

/** The blobs that the victim writes over and over; the test knows them without any talk between the two. */
export const CRASH_BLOBS: readonly TestBlob[] = Array.from({ length: 8 }, (_, blob) => {
  const bytes = Buffer.alloc(PIECES * BLOCK_LENGTH);
  for (let offset = 0; offset < bytes.length; offset += 4) bytes.writeUInt32LE(offset * 8 + blob, offset);
  return testBlobOf(bytes);
});

async function fillUntilKilled(directory: string): Promise<void> {
  const [first] = CRASH_BLOBS;
  // Room for half of them, so that evictions are cut off as well.
  const quotaBytes = first === undefined ? 0 : 4 * footprint(first.geometry);
  const store = new BlobStore({ directory, quotaBytes, clock: systemClock, log: silentLogger });
  await store.start();
  for (;;) {
    for (const blob of CRASH_BLOBS) {
      const stored = await store.create(creationOf(blob));
      const writes = Array.from({ length: PIECES }, async (_, index) => {
        const buffer = new ArrayBuffer(BLOCK_LENGTH);
        new Uint8Array(buffer).set(pieceOf(blob, index));
        await stored.writePiece(index, buffer, sha256(pieceOf(blob, index)));
        process.stdout.write('.');
        await stored.appendHashes(Buffer.from(`batch ${index}`));
      });
      await Promise.all(writes);
      await stored.markComplete();
      await stored.replaceHashes([Buffer.from('batch 0')]);
    }
  }
}

const [, script, directory] = process.argv;
if (script === import.meta.filename && directory !== undefined) await fillUntilKilled(directory);
