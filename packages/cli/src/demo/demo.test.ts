import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { suite, test } from 'node:test';
import { CliProcess, inTemporaryDirectory } from '../cli-process.fixture.ts';

suite('sealift demo', () => {
  test('shows one copy from the registry and no byte for thieves, and leaves nothing, not even of a killed one', () =>
    inTemporaryDirectory(async (directory) => {
      // No process has this id: it is above the greatest that Linux gives.
      await mkdir(path.join(directory, 'sealift-demo-9999999999-abcdef'));
      const options = ['--json', '--nodes', '2', '--registry-rate', '256MiB'];
      const demo = new CliProcess(['demo', ...options], { env: { TMPDIR: directory } });
      assert.equal(await demo.ended(), 0, demo.said);
      const result = JSON.parse(demo.printed);
      assert.equal(result.ok, true);
      assert.equal(result.registryBlobBytes, result.blobBytes);
      assert.deepEqual(
        result.refusals.map(({ bytesServed }: { bytesServed: number }) => bytesServed),
        [0, 0],
      );
      assert.deepEqual(await readdir(directory), []);
    }));

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
