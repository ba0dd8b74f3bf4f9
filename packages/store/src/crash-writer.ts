import { BLOCK_LENGTH, silentLogger, systemClock } from '@sealift/core';
import { BlobStore } from './blob-store.ts';
import { footprint } from './quota.ts';
import { creationOf, pieceOf, sha256, type TestBlob, testBlobOf } from './store-fixture.ts';

// The victim of crash.test.ts: fills a store as fast as it can, until it is killed. Not part of the package.

const PIECES = 4;
/** Large, so that a good part of the victim's time goes into the writing of a piece, where a kill hurts most. */
const PIECE_LENGTH = 128 * BLOCK_LENGTH;
/** Prime, so that no two pieces of a blob are equal. */
const PATTERN_LENGTH = 61;

/** The blobs that the victim writes over and over; the test knows them without any talk between the two. */
export const CRASH_BLOBS: readonly TestBlob[] = [1, 2, 3, 4].map((blob) => {
  const pattern = sha256(Buffer.of(blob)).toString('hex').slice(0, PATTERN_LENGTH);
  return testBlobOf(Buffer.alloc(PIECES * PIECE_LENGTH, pattern), PIECE_LENGTH);
});

async function fillUntilKilled(directory: string): Promise<void> {
  const [first] = CRASH_BLOBS;
  // Room for half of them, so that evictions are cut off as well.
  const quotaBytes = first === undefined ? 0 : 2 * footprint(first.geometry);
  const store = new BlobStore({ directory, quotaBytes, clock: systemClock, log: silentLogger });
  await store.start();
  for (;;) {
    for (const blob of CRASH_BLOBS) {
      const stored = await store.create(creationOf(blob));
      const writes = Array.from({ length: PIECES }, async (_, index) => {
        const buffer = new ArrayBuffer(PIECE_LENGTH);
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
