import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { applyChanges } from './file-transaction.ts';

async function directoryFor(t: TestContext): Promise<(name: string) => string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'sealift-files-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return (name) => path.join(directory, name);
}

test('directories and files are readable for all, and secrets for nobody, whatever the umask', async (t) => {
  const at = await directoryFor(t);
  const umask = process.umask(0o077);
  t.after(() => process.umask(umask));
  applyChanges(
    [at('a')],
    [
      { place: at('a/conf'), content: '', mode: 0o644 },
      { place: at('a/state'), content: '', mode: 0o600 },
    ],
  );
  const modes = await Promise.all(['a', 'a/conf', 'a/state'].map(async (name) => (await stat(at(name))).mode & 0o777));
  assert.deepEqual(modes, [0o755, 0o644, 0o600]);
});

test('files are made, replaced with the mode that they had, and taken away', async (t) => {
  const at = await directoryFor(t);
  await writeFile(at('old'), 'before', { mode: 0o640 });
  await writeFile(at('gone'), 'x');
  applyChanges(
    [at('a'), at('a/b')],
    [
      { place: at('a/b/new'), content: 'new', mode: 0o644 },
      { place: at('old'), content: 'after', mode: 0o644 },
      { place: at('gone'), content: undefined, mode: 0o644 },
      { place: at('never there'), content: undefined, mode: 0o644 },
    ],
  );
  assert.deepEqual((await readdir(at(''), { recursive: true })).sort(), ['a', 'a/b', 'a/b/new', 'old']);
  assert.equal(await readFile(at('old'), 'utf8'), 'after');
  const modes = await Promise.all(['old', 'a/b/new', 'a/b'].map(async (name) => (await stat(at(name))).mode & 0o777));
  assert.deepEqual(modes, [0o640, 0o644, 0o755]);
});

// The last change fails: its directory is missing, or a directory is in its place.
for (const obstacle of ['missing/file', 'directory']) {
  test(`a change that fails at ${obstacle} leaves everything as it was`, async (t) => {
    const at = await directoryFor(t);
    await writeFile(at('old'), 'before', { mode: 0o600 });
    await writeFile(at('gone'), 'still here');
    await mkdir(at('directory'));
    await writeFile(at('directory/inside'), '');
    const changes = [
      { place: at('old'), content: 'after', mode: 0o644 },
      { place: at('gone'), content: undefined, mode: 0o644 },
      { place: at('made/new'), content: 'new', mode: 0o644 },
      { place: at(obstacle), content: 'x', mode: 0o644 },
    ];
    assert.throws(() => applyChanges([at('made')], changes), { code: /^(?:ENOENT|EISDIR)$/ });
    assert.deepEqual((await readdir(at(''), { recursive: true })).sort(), [
      'directory',
      'directory/inside',
      'gone',
      'old',
    ]);
    assert.equal(await readFile(at('old'), 'utf8'), 'before');
    assert.equal(await readFile(at('gone'), 'utf8'), 'still here');
    assert.equal((await stat(at('old'))).mode & 0o777, 0o600);
  });
}
