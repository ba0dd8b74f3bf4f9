import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import type { LockFile } from '../../scripts/bill-of-materials.ts';

interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly peerDependencies?: Record<string, string>;
  readonly overrides?: Record<string, string>;
  readonly allowScripts?: Record<string, boolean>;
}

const root = new URL('../../', import.meta.url);
const page = await readFile(new URL('docs/dependencies.md', root), 'utf8');
const lock = JSON.parse(await readFile(new URL('package-lock.json', root), 'utf8')) as LockFile;
/** By directory, '' being the root. */
const manifests = new Map<string, Manifest>();
for (const file of globSync(['package.json', 'packages/*/package.json', 'stubs/*/package.json'], { cwd: root })) {
  manifests.set(
    file.replace(/\/?package\.json$/, ''),
    JSON.parse(await readFile(new URL(file, root), 'utf8')) as Manifest,
  );
}

const foreign = (names: Record<string, string> = {}): string[] =>
  Object.keys(names).filter((name) => !name.startsWith('@sealift/'));

/** The rows of the table under a heading, cells apart. */
function tableUnder(heading: string): string[][] {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1);
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

function namesIn(cell: string | undefined): string[] {
  return (cell ?? '').split(',').map((name) => name.trim().replaceAll('`', ''));
}

test('every dependency is named by one exact version', () => {
  for (const [
    directory,
    { dependencies, devDependencies, optionalDependencies, peerDependencies, overrides },
  ] of manifests) {
    const all = { ...dependencies, ...devDependencies, ...optionalDependencies, ...peerDependencies, ...overrides };
    for (const [name, version] of Object.entries(all)) {
      assert.match(version, /^[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?$/, `${name} in ${directory || 'the root'}`);
    }
  }
});

test('the lock file holds the versions that are asked for', () => {
  for (const { dependencies, devDependencies } of manifests.values()) {
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      if (!name.startsWith('@sealift/')) assert.equal(lock.packages[`node_modules/${name}`]?.version, version, name);
    }
  }
});

test('every locked package has its hash and comes from the npm registry; only binaries for other platforms may lack one', () => {
  for (const [place, entry] of Object.entries(lock.packages)) {
    if (!place.includes('node_modules/') || entry.link === true) continue;
    assert.equal(entry.resolved, undefined, `${place} comes from somewhere else`);
    const isOtherPlatform =
      entry.optional === true && entry.dev === true && place.startsWith('node_modules/@biomejs/cli-');
    if (!isOtherPlatform) assert.match(entry.integrity ?? '', /^sha512-/, place);
  }
});

test('the table of run-time dependencies names each, and the packages that have it', () => {
  const documented = tableUnder('At run time').flatMap(([names, , users]) =>
    namesIn(names).map((name) => [name, namesIn((users ?? '').replace(/, through .*/, '')).sort()] as const),
  );
  const used = new Map<string, string[]>();
  for (const [directory, { dependencies }] of manifests) {
    const user = directory.replace('packages/', '');
    // The test kit does not run in production.
    if (user === 'testkit') continue;
    for (const name of foreign(dependencies)) used.set(name, [...(used.get(name) ?? []), user].sort());
  }
  assert.deepEqual(Object.fromEntries(documented), Object.fromEntries(used));
});

test('the table of development dependencies names each, and no other', () => {
  const runtime = new Set([...manifests.values()].flatMap(({ dependencies }) => foreign(dependencies)));
  const used = new Set([...manifests.values()].flatMap(({ devDependencies }) => foreign(devDependencies)));
  const documented = tableUnder('For development').flatMap(([names]) => namesIn(names));
  assert.deepEqual(documented.sort(), [...used].filter((name) => !runtime.has(name)).sort());
});

test('every package with an install script is allowed or denied by name, and the page gives the reason', () => {
  const allowed = manifests.get('')?.allowScripts ?? {};
  const withScript = Object.entries(lock.packages).flatMap(([place, { hasInstallScript }]) =>
    hasInstallScript === true ? [place.split('node_modules/').at(-1) ?? ''] : [],
  );
  assert.deepEqual(Object.keys(allowed).sort(), [...new Set(withScript)].sort());
  const documented = tableUnder('Install scripts').map(([name, runs, why]) => {
    assert.ok((why ?? '').length > 10, `${name} has no reason`);
    return [namesIn(name)[0], runs === 'yes'];
  });
  assert.deepEqual(Object.fromEntries(documented), allowed);
});

test('the versions that are held back by an override are explained', () => {
  for (const [name, version] of Object.entries(manifests.get('')?.overrides ?? {})) {
    assert.ok(page.includes(`\`${name}\``) && page.includes(version), name);
  }
});
