import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const root = mkdtempSync(join(tmpdir(), 'sealift-compile-'));
after(() => rmSync(root, { recursive: true }));

function newDirectory(name: string, mode: number): string {
  const path = join(root, name);
  mkdirSync(path);
  chmodSync(path, mode);
  return path;
}

/** Where a process of its own keeps compiled code when it is given this data directory; empty if nowhere. */
function cacheFor(dataDirectory: string): string {
  const module = join(import.meta.dirname, 'compile-cache.ts');
  const script = `import { getCompileCacheDir } from 'node:module';
import { keepCompiled, useCompileCache } from ${JSON.stringify(module)};
useCompileCache(${JSON.stringify(dataDirectory)});
keepCompiled();
process.stdout.write(getCompileCacheDir() ?? '');`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

test('compiled code is kept in a data directory that is ours alone', () => {
  const data = newDirectory('ours', 0o700);
  assert.ok(cacheFor(data).startsWith(join(data, 'compile-cache')));
  // And found again.
  assert.ok(cacheFor(data).startsWith(join(data, 'compile-cache')));
});

test('code is never taken from where others may write', () => {
  assert.equal(cacheFor(newDirectory('shared', 0o770)), '');
  const planted = newDirectory('planted', 0o700);
  mkdirSync(join(planted, 'compile-cache'));
  chmodSync(join(planted, 'compile-cache'), 0o777);
  assert.equal(cacheFor(planted), '');
  const linked = newDirectory('linked', 0o700);
  symlinkSync(newDirectory('elsewhere', 0o777), join(linked, 'compile-cache'));
  assert.equal(cacheFor(linked), '');
  assert.equal(cacheFor(join(root, 'missing')), '');
});
