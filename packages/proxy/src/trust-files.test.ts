import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseRegistryHost, silentLogger } from '@sealift/core';
import { TrustFiles } from './trust-files.ts';

const REGISTRY = parseRegistryHost('registry.test:5000');
const OURS = 'sealift-intercept.crt';

async function setUp(t: TestContext, certificatePem = 'our certificate') {
  const parent = await mkdtemp(join(tmpdir(), 'trust-files-'));
  t.after(() => rm(parent, { recursive: true, force: true }));
  const certsDirectory = join(parent, 'docker', 'certs.d');
  const directory = join(certsDirectory, REGISTRY);
  const make = (pem = certificatePem) =>
    new TrustFiles({
      certsDirectory,
      registries: [REGISTRY],
      interceptCa: { certificatePem: pem },
      log: silentLogger,
    });
  return { parent, certsDirectory, directory, make };
}

test('the file stands where dockerd looks, readable for all, and goes with all that was made for it', async (t) => {
  const { parent, directory, make } = await setUp(t);
  const files = make();
  await files.start();
  await files.start();
  assert.deepEqual(await readdir(directory), [OURS]);
  assert.equal(await readFile(join(directory, OURS), 'utf8'), 'our certificate');
  assert.equal((await stat(join(directory, OURS))).mode & 0o777, 0o644);
  await files.stop();
  await files.stop();
  assert.deepEqual(await readdir(parent), []);
});

test('what is the user’s stays, directories and files that came later included', async (t) => {
  const { certsDirectory, directory, make } = await setUp(t);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'ca.crt'), 'theirs');
  const files = make();
  await files.start();
  assert.deepEqual((await readdir(directory)).sort(), ['ca.crt', OURS]);
  await files.stop();
  assert.deepEqual(await readdir(directory), ['ca.crt']);
  await rm(certsDirectory, { recursive: true });
  const later = make();
  await later.start();
  await writeFile(join(directory, 'ca.crt'), 'theirs');
  await later.stop();
  assert.deepEqual(await readdir(directory), ['ca.crt']);
});

test('what a crashed run left is removed, also for a registry that is configured no more', async (t) => {
  const { certsDirectory, directory, make } = await setUp(t);
  await make('dead').start();
  const other = join(certsDirectory, 'other.test');
  await mkdir(other);
  await writeFile(join(other, OURS), 'dead');
  await writeFile(join(other, '.sealift-intercept.half'), 'de');
  await writeFile(join(other, 'ca.crt'), 'theirs');
  const files = make();
  await files.start();
  assert.equal(await readFile(join(directory, OURS), 'utf8'), 'our certificate');
  assert.deepEqual(await readdir(other), ['ca.crt']);
  await files.stop();
});

test('a file that another process put in our place is not removed', async (t) => {
  const { directory, make } = await setUp(t);
  const files = make();
  await files.start();
  await writeFile(join(directory, OURS), 'somebody else’s');
  await files.stop();
  assert.deepEqual(await readdir(directory), [OURS]);
});

test('a directory that cannot be made is the caller’s to hear of, and nothing is left behind', async (t) => {
  const { parent, certsDirectory, make } = await setUp(t);
  await writeFile(join(parent, 'docker'), 'in the way');
  await assert.rejects(make().start(), { code: 'ENOTDIR' });
  await rm(join(parent, 'docker'));
  const files = new TrustFiles({
    certsDirectory,
    registries: [REGISTRY, 'a\0b' as never],
    interceptCa: { certificatePem: 'x' },
    log: silentLogger,
  });
  await assert.rejects(files.start());
  await files.stop();
  assert.deepEqual(await readdir(parent), []);
});

test('a place that takes no directories is heard of at once', async (t) => {
  const files = new TrustFiles({
    certsDirectory: '/proc/sealift/certs.d',
    registries: [REGISTRY],
    interceptCa: { certificatePem: 'x' },
    log: silentLogger,
  });
  t.after(() => files.stop());
  await assert.rejects(files.start(), { code: 'ENOENT' });
});
