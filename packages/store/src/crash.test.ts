import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { CRASH_BLOBS } from './crash-writer.ts';
import { inTemporaryDirectory, isPieceRight, storeOf, type TestBlob } from './store-fixture.ts';
import type { StoredBlob } from './stored-blob.ts';

/** After how many pieces each victim dies; fixed, spread over some rounds of its work. */
const DEATHS = Array.from({ length: 10 }, (_, run) => 1 + ((run * 97) % 263));

test(
  'after kill -9 at any moment each piece that counts is right',
  { timeout: 60_000 },
  inTemporaryDirectory(async (directory) => {
    const blobs = new Map(CRASH_BLOBS.map((blob) => [blob.swarmId, blob]));
    let found = 0;
    for (const pieces of DEATHS) {
      await runAndKill(directory, pieces);
      const store = storeOf(directory);
      await store.start();
      for (const stored of store.list()) found += await countSound(stored, blobs.get(stored.swarmId));
      await store.stop();
    }
    assert.ok(found > 100, `only ${found} pieces survived: the victims were killed before they did anything`);
  }),
);

/** Runs a victim and kills it while it goes on, as soon as it has told of so many pieces. */
async function runAndKill(directory: string, pieces: number): Promise<void> {
  const script = new URL('./crash-writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let told = 0;
  child.stdout.on('data', (dots: Buffer) => {
    told += dots.length;
    if (told >= pieces) child.kill('SIGKILL');
  });
  const [, signal] = await ended;
  assert.equal(signal, 'SIGKILL');
}

async function countSound(stored: StoredBlob, blob: TestBlob | undefined): Promise<number> {
  assert.ok(blob, 'a blob that nobody wrote');
  let count = 0;
  for (let index = 0; index < blob.geometry.pieceCount; index += 1) {
    if (!stored.bitfield.has(index)) continue;
    assert.equal(await isPieceRight(stored, blob, index), true, `piece ${index}`);
    count += 1;
  }
  for (const record of stored.hashRecords) assert.match(record.toString(), /^batch \d+$/);
  assert.deepEqual((await stored.verify()).dropped, []);
  if (stored.isComplete) assert.equal(count, blob.geometry.pieceCount);
  return count;
}
