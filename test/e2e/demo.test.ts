import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { CliProcess, inTemporaryDirectory } from '../../packages/cli/src/cli-process.fixture.ts';

/** Longest run of the demo, in ms: a few seconds, or many where the machine has other work. */
const LIMIT_MS = 120_000;

test('the demo shows one copy from the registry and no byte for thieves, and leaves nothing, not even of a killed one', () =>
  inTemporaryDirectory(async (directory) => {
    // No process has this id: it is above the greatest that Linux gives.
    await mkdir(path.join(directory, 'sealift-demo-9999999999-abcdef'));
    const options = ['--json', '--nodes', '2', '--registry-rate', '256MiB'];
    const demo = new CliProcess(['demo', ...options], { env: { TMPDIR: directory }, limitMs: LIMIT_MS });
    assert.equal(await demo.ended(), 0, demo.said);
    const result = JSON.parse(demo.printed);
    assert.equal(result.ok, true);
    assert.equal(result.nodes, 2);
    assert.equal(result.registryBlobBytes, result.blobBytes);
    for (const { registry } of result.sources) assert.equal(registry, 0);
    assert.deepEqual(
      result.refusals.map(({ bytesServed }: { bytesServed: number }) => bytesServed),
      [0, 0],
    );
    assert.deepEqual(await readdir(directory), []);
  }));
