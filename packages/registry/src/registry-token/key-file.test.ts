import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { KeyFile } from './key-file.ts';

const all = (): boolean => true;
const newPem = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' });

async function scene(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'sealift-keys-'));
  t.after(() => rm(directory, { recursive: true }));
  const path = join(directory, 'keys.pem');
  await writeFile(path, newPem());
  const [clock, failures] = [new FakeClock(), [] as string[]];
  const log = { ...silentLogger, warn: (event: string) => void failures.push(event) };
  const file = (await KeyFile.open(path)).follow({ clock, log, failureEvent: 'registry_keys_failed' });
  /** As operators and kubelets do it: whole, in one step. */
  const replace = async (text: string | Buffer): Promise<void> => {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  };
  return { file, path, clock, failures, replace };
}

test('a file that was replaced is read again, half a minute after the last look and not before', async (t) => {
  const { file, clock, replace } = await scene(t);
  const [old] = await file.find(all);
  await replace(newPem());
  clock.advance(29_999);
  assert.deepEqual(await file.find(all), [old]);
  clock.advance(1);
  const [fresh] = await file.find(all);
  assert.notEqual(fresh?.fingerprint, old?.fingerprint);
  assert.deepEqual(file.keys, [fresh]);
});

test('a file that is broken or gone leaves the keys as they were, which is logged, until it is good again', async (t) => {
  const { file, path, clock, failures, replace } = await scene(t);
  const before = await file.find(all);
  const later = async () => {
    clock.advance(30_000);
    return await file.find(all);
  };
  await replace('half a key');
  assert.deepEqual(await later(), before);
  await rm(path);
  assert.deepEqual(await later(), before);
  assert.deepEqual(failures, ['registry_keys_failed', 'registry_keys_failed']);
  await replace(newPem());
  assert.notDeepEqual(await later(), before);
});

test('a file that cannot be used at the start is refused', async (t) => {
  const { path, replace } = await scene(t);
  await replace('no key');
  await assert.rejects(KeyFile.open(path), { code: 'CONFIG_INVALID' });
  await assert.rejects(KeyFile.open(`${path}.none`), { code: 'ENOENT' });
});
