import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { CRASH_BLOBS } from './crash-writer.ts';
import { inTemporaryDirectory, isPieceRight, storeOf, type TestBlob } from './store-fixture.ts';
import type { StoredBlob } from './stored-blob.ts';

/**
 * When each victim dies: so many ms after it has told of so many pieces. Fixed, spread over some rounds of its work; the
 * fractions of a piece are what is under test, so these are times and not events.
 */
const DEATHS = Array.from({ length: 10 }, (_, run) => ({ pieces: 1 + ((run * 5) % 13), afterMs: (run * 7) % 10 }));

test(
  'after kill -9 at any moment each piece that counts is right',
  { timeout: 60_000 },
  inTemporaryDirectory(async (directory) => {
    const blobs = new Map(CRASH_BLOBS.map((blob) => [blob.swarmId, blob]));
    let found = 0;
    for (const death of DEATHS) {
      await runAndKill(directory, death);
      const store = storeOf(directory);
      await store.start();
      for (const stored of store.list()) found += await countSound(stored, blobs.get(stored.swarmId));
      await store.stop();
    }
    assert.ok(found > 20, `only ${found} pieces survived: the victims were killed before they did anything`);
  }),
);

/** Runs a victim and kills it while it goes on. */
async function runAndKill(directory: string, death: { pieces: number; afterMs: number }): Promise<void> {
  const script = new URL('./crash-writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let told = 0;
  child.stdout.on('data', (dots: Buffer) => {
    const isAlreadyDue = told >= death.pieces;
    told += dots.length;
    if (!isAlreadyDue && told >= death.pieces) setTimeout(() => child.kill('SIGKILL'), death.afterMs);
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
  if (stored.isComplete) assert.equal(count, blob.geometry.pieceCount);
  return count;
}
