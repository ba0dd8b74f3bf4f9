import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { parseDuration } from '../../packages/cli/src/option-values.ts';
import { NODE_OPTIONS } from '../../packages/cli/src/options.ts';

const read = (name: string): Promise<string> => readFile(new URL(`../../deploy/${name}`, import.meta.url), 'utf8');
/** A node lets responses end for so long, and then takes leave of its peers for nine seconds at most. In ms. */
const STOP_MS = parseDuration(NODE_OPTIONS.stopTimeout.fallback ?? '') + 9_000;

test('systemd and compose give a node more time to end than it may take', async () => {
  const unit = await read('systemd/sealift-node.service');
  assert.ok(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) * 1000 > STOP_MS);
  const node = (await read('docker-compose.yml')).split(/^ {2}node:$/m)[1] ?? '';
  assert.ok(parseDuration(/stop_grace_period: (\S+)/.exec(node)?.[1] ?? '') > STOP_MS);
});

for (const name of ['node', 'tracker']) {
  test(`systemd never gives the ${name} up, however often it ends`, async () => {
    const [head = '', service = ''] = (await read(`systemd/sealift-${name}.service`)).split('[Service]');
    assert.match(head, /^StartLimitIntervalSec=0$/m);
    // systemd reads it in [Unit] only, and takes no notice of it elsewhere (systemd.unit(5)).
    assert.doesNotMatch(service, /StartLimit/);
    assert.match(service, /^Restart=always$/m);
  });
}
