import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClusterId, parseRegistryHost, parseRepository, systemClock } from '@sealift/core';
import { openTrackerState } from '@sealift/tracker';
import { CliProcess, inTemporaryDirectory } from '../cli-process.fixture.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

async function printed(...args: readonly string[]): Promise<string> {
  const cli = new CliProcess(args);
  assert.equal(await cli.ended(), 0, cli.said);
  return cli.printed;
}

test('sealift revoke takes rights back, lists what counts, and leaves a line in the audit log', () =>
  inTemporaryDirectory(async (directory) => {
    const data = `${directory}/tracker`;
    const tracker = await openTrackerState({
      dataDirectory: data,
      clusterId: parseClusterId('test'),
      clock: systemClock,
    });
    try {
      const right = {
        registry: parseRegistryHost('registry.example:5000'),
        repository: parseRepository('team/app'),
        authTime: Date.now() - 1_000,
      };
      const blob = await printed('revoke', 'registry.example:5000/team/other', '--digest', DIGEST, '--data', data);
      const whole = await printed('revoke', 'registry.example:5000/team/app', '--data', data);
      // The running tracker has the same database open.
      assert.equal(tracker.revocations.covers({ ...right, digest: DIGEST as never }), true);
      assert.deepEqual((await printed('revoke', '--list', '--data', data)).split('\n').sort(), [
        '',
        ...[blob.trim(), whole.trim()].sort(),
      ]);
      assert.match(blob, /"repository":"team\/other","digest":"sha256:a+","provenBefore":"[\dT:.-]+Z","countsUntil":"/);
      assert.match(await printed('audit', '--event', 'grants_revoked', '--json', '--data', data), /"team\/app"/);
    } finally {
      tracker.close();
    }
  }));
