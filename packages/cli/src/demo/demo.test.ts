import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { suite, test } from 'node:test';
import { CliProcess, inTemporaryDirectory } from '../cli-process.fixture.ts';

suite('sealift demo', () => {
  test('ends with 130 on Ctrl-C and leaves nothing', () =>
    inTemporaryDirectory(async (directory) => {
      const demo = new CliProcess(['demo', '--nodes', '1'], { env: { TMPDIR: directory } });
      await demo.hears('Starting');
      assert.equal(await demo.stop('SIGINT'), 130, demo.said);
      assert.deepEqual(await readdir(directory), []);
    }));

  test('ends when nobody reads on, and leaves nothing', () =>
    inTemporaryDirectory(async (directory) => {
      const demo = new CliProcess(['demo', '--nodes', '1'], { env: { TMPDIR: directory } });
      await demo.hears('Starting');
      demo.child.stderr?.destroy();
      assert.equal(await demo.ended(), 143);
      assert.deepEqual(await readdir(directory), []);
    }));
});
