import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import type { PieceTask } from './piece-task.ts';
import { PieceWorker } from './piece-worker.ts';
import { inTemporaryDirectory, sha256 } from './store-fixture.ts';

const text = Buffer.from('a piece of a blob');

function writeTask(fd: number, files = { data: fd, pieces: fd, bitmap: fd, isReadOnly: false }): PieceTask {
  const buffer = new ArrayBuffer(64);
  new Uint8Array(buffer).set(text);
  return {
    kind: 'write',
    files,
    index: 0,
    position: 0,
    size: text.length,
    buffer,
    sha256: Uint8Array.from(sha256(text)),
  };
}

test(
  'a crash of the thread fails the pending tasks, and the next task has a new thread',
  inTemporaryDirectory(async (directory) => {
    await writeFile(join(directory, 'bitmap'), Buffer.alloc(1));
    const handles = await Promise.all(
      ['data', 'pieces', 'bitmap'].map((name) => open(join(directory, name), name === 'bitmap' ? 'r+' : 'w+')),
    );
    const [data = -1, pieces = -1, bitmap = -1] = handles.map(({ fd }) => fd);
    const files = { data, pieces, bitmap, isReadOnly: false };
    const worker = new PieceWorker();
    // Files that are no numbers are a bug of ours: the one thing that may end the thread.
    const broken = writeTask(0, {} as PieceTask['files']);
    const results = await Promise.allSettled([broken, writeTask(data, files)].map((task) => worker.run(task)));
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    const { outcome, buffer } = await worker.run(writeTask(data, files));
    assert.equal(outcome, 'verified');
    assert.equal(buffer?.byteLength, 64);
    await worker.stop();
    await assert.rejects(worker.run(writeTask(data)), { code: 'STORE_CLOSED' });
    for (const handle of handles) await handle.close();
  }),
);

test('a fault of the disk is reported with its cause and leaves the thread at work', async () => {
  const worker = new PieceWorker();
  for (const _ of [1, 2]) {
    // Nothing is open under this number.
    await assert.rejects(worker.run(writeTask(100_000)), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'STORE_FAULT');
      assert.equal((error.cause as NodeJS.ErrnoException).code, 'EBADF');
      return true;
    });
  }
  await worker.stop();
});

test(
  'a bit is not set for a piece that the disk refuses',
  inTemporaryDirectory(async (directory) => {
    const bitmapPath = join(directory, 'bitmap');
    for (const name of ['data', 'pieces', 'bitmap']) await writeFile(join(directory, name), Buffer.alloc(1));
    const worker = new PieceWorker();
    for (const refusing of ['data', 'pieces']) {
      const [data, pieces, bitmap] = await Promise.all(
        ['data', 'pieces', 'bitmap'].map((name) => open(join(directory, name), name === refusing ? 'r' : 'r+')),
      );
      const [dataFd, piecesFd, bitmapFd] = [data?.fd ?? -1, pieces?.fd ?? -1, bitmap?.fd ?? -1];
      const files = { data: dataFd, pieces: piecesFd, bitmap: bitmapFd, isReadOnly: false };
      await assert.rejects(worker.run(writeTask(0, files)), { code: 'STORE_FAULT' });
      assert.deepEqual(await readFile(bitmapPath), Buffer.of(0));
      for (const handle of [data, pieces, bitmap]) await handle?.close();
    }
    await worker.stop();
  }),
);

test('an idle thread keeps no process alive', async () => {
  const script = `
    const { PieceWorker } = await import(${JSON.stringify(new URL('./piece-worker.ts', import.meta.url).href)});
    await new PieceWorker().run({ kind: 'check', files: { data: 9999 }, index: 0, position: 0, size: 1 }).catch(() => console.log('done'));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    timeout: 20_000,
  });
  assert.equal(stdout, 'done\n');
});
