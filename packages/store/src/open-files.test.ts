import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { OpenFiles } from './open-files.ts';
import { inTemporaryDirectory } from './store-fixture.ts';

const skip = process.getuid?.() === 0 ? false : 'mounting read-only needs root';

test(
  'files on a disk that has become read-only are opened for reading, and for writing again once it is mended',
  { skip },
  inTemporaryDirectory(async (directory) => {
    const [data, pieces, bitmap] = ['data', 'pieces', 'bitmap'].map((name) => join(directory, name));
    assert.ok(data && pieces && bitmap);
    for (const file of [data, pieces, bitmap]) await writeFile(file, 'x');
    const paths = { data, pieces, bitmap };
    const files = new OpenFiles({ maxBlobs: 1 });
    const isReadOnly = (options = {}) => files.use(paths, async (opened) => opened.isReadOnly, options);
    execFileSync('mount', ['--bind', directory, directory]);
    try {
      execFileSync('mount', ['-o', 'remount,ro,bind', directory]);
      assert.equal(await isReadOnly(), true);
      await assert.rejects(isReadOnly({ isWriting: true }), { code: 'EROFS' });
      execFileSync('mount', ['-o', 'remount,rw,bind', directory]);
      assert.equal(await isReadOnly(), true, 'nobody has asked the disk yet');
      assert.equal(await isReadOnly({ isWriting: true }), false);
      assert.equal(await isReadOnly(), false);
    } finally {
      await files.close(paths);
      execFileSync('umount', [directory]);
    }
  }),
);
