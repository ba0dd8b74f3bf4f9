import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readSecretFile, writePublicFile, writeSecretFile } from './secret-file.ts';

async function newDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sealift-secret-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

test('a secret is written for its owner only, replaces what was there, and leaves nothing beside it', async (t) => {
  const directory = await newDirectory(t);
  const path = join(directory, 'ca.key');
  await writeFile(path, 'old', { mode: 0o644 });
  await writeSecretFile(path, 'new');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal(await readSecretFile(path), 'new');
  assert.deepEqual(await readdir(directory), ['ca.key']);
});

test('a certificate is written for all to read whatever the umask, and in the place of a link, not through it', async (t) => {
  const directory = await newDirectory(t);
  const path = join(directory, 'cert.pem');
  await writeFile(join(directory, 'target'), 'theirs', { mode: 0o600 });
  await symlink('target', path);
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  await writePublicFile(path, 'new');
  const modes = await Promise.all(['cert.pem', 'target'].map(async (name) => (await stat(join(directory, name))).mode));
  assert.deepEqual(
    modes.map((mode) => mode & 0o777),
    [0o644, 0o600],
  );
  assert.equal(await readFile(join(directory, 'target'), 'utf8'), 'theirs');
});

test('a secret that cannot be put in its place leaves nothing behind', async (t) => {
  const directory = await newDirectory(t);
  // A directory cannot be replaced by a file.
  await assert.rejects(writeSecretFile(directory, 'secret'));
  await assert.rejects(writeSecretFile(join(directory, 'missing', 'ca.key'), 'secret'));
  assert.deepEqual(await readdir(directory), []);
});

for (const mode of [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777]) {
  test(`a secret file of mode 0${mode.toString(8)} is refused`, async (t) => {
    const path = join(await newDirectory(t), 'key');
    await writeFile(path, 'secret');
    await chmod(path, mode);
    await assert.rejects(readSecretFile(path), { code: 'KEY_FILE_UNSAFE' });
  });
}

test('a link to a secret is judged by the file that it points to', async (t) => {
  const directory = await newDirectory(t);
  await writeFile(join(directory, 'data'), 'secret', { mode: 0o600 });
  await symlink('data', join(directory, 'link'));
  assert.equal(await readSecretFile(join(directory, 'link')), 'secret');
  await chmod(join(directory, 'data'), 0o644);
  await assert.rejects(readSecretFile(join(directory, 'link')), { code: 'KEY_FILE_UNSAFE' });
});

test('what is missing, a directory, a named pipe or too long is refused without a wait', async (t) => {
  const directory = await newDirectory(t);
  execFileSync('mkfifo', ['-m', '600', join(directory, 'pipe')]);
  await writeFile(join(directory, 'long'), 'x'.repeat(65_537), { mode: 0o600 });
  for (const name of ['missing', '.', 'pipe', 'long']) {
    await assert.rejects(readSecretFile(join(directory, name)), { code: 'KEY_FILE_UNSAFE' });
  }
});
