import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { type BillOfMaterials, billOfMaterials, type LockEntry, type LockFile } from './bill-of-materials.ts';

const root = path.dirname(import.meta.dirname);
const lock = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')) as LockFile;

/** What npm itself marks as needed at run time: another way to the list than that of the code under test. */
function productionPackages(): [name: string, LockEntry][] {
  return Object.entries(lock.packages).flatMap(([place, entry]) => {
    const isRuntime = entry.dev !== true && entry.devOptional !== true && entry.link !== true;
    const name = place.split('node_modules/').at(-1) ?? '';
    return place.includes('node_modules/') && isRuntime ? [[name, entry]] : [];
  });
}

test('the bill of materials is JSON in CycloneDX that names every package that runs, and no other', () => {
  const bill = JSON.parse(
    execFileSync(process.execPath, ['scripts/sbom.ts'], { cwd: root, encoding: 'utf8' }),
  ) as BillOfMaterials;
  assert.deepEqual([bill.bomFormat, bill.specVersion, bill.version], ['CycloneDX', '1.5', 1]);
  const foreign = bill.components.filter(({ name }) => !name.startsWith('@sealift/') && name !== 'webrtc-polyfill');
  assert.deepEqual(
    foreign.map(({ name, version }) => `${name}@${version}`).sort(),
    [...new Set(productionPackages().map(([name, { version }]) => `${name}@${version}`))].sort(),
  );
});

test('every package in the bill has its licence, its hash from the lock file, and is told apart from the others', () => {
  const { components } = billOfMaterials(lock);
  const byName = new Map(components.map((component) => [`${component.name}@${component.version}`, component]));
  assert.equal(new Set(components.map((component) => component['bom-ref'])).size, components.length);
  for (const [name, { version, integrity }] of productionPackages()) {
    const component = byName.get(`${name}@${version}`);
    assert.equal(component?.licenses.length, 1, name);
    assert.ok(integrity !== undefined, `${name} has no hash in the lock file`);
    const content = Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex');
    assert.deepEqual(component.hashes, [{ alg: 'SHA-512', content }], name);
    assert.match(component.purl, /^pkg:npm\/(?:%40[a-z0-9-]+\/)?[a-z0-9._-]+@[0-9]/);
  }
});

test('what a package in the bill depends on is in the bill', () => {
  const { components, dependencies, metadata } = billOfMaterials(lock);
  const refs = new Set([metadata.component['bom-ref'], ...components.map((component) => component['bom-ref'])]);
  assert.deepEqual(new Set(dependencies.map(({ ref }) => ref)), refs);
  for (const { dependsOn } of dependencies) for (const ref of dependsOn) assert.ok(refs.has(ref), ref);
});

test('a lock file that lacks a dependency makes no bill', () => {
  const packages = { 'packages/cli': { version: '1.0.0', dependencies: { gone: '1.0.0' } } };
  assert.throws(() => billOfMaterials({ packages }), /needs gone/);
});
