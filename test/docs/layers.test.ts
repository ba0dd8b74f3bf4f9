import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';

const root = new URL('../../', import.meta.url);
const page = await readFile(new URL('docs/architecture.md', root), 'utf8');
/** Package to layer, from the table in docs/architecture.md. */
const layers = new Map(
  [...page.matchAll(/^\| (L[0-3]|dev) \| `([a-z-]+)` \|/gm)].map(([, layer, name]) => [name, layer]),
);
const packages = await readdir(new URL('packages/', root));

test('every package stands in the layer table, and the table names no other', () => {
  assert.deepEqual([...layers.keys()].sort(), packages.toSorted());
});

for (const name of packages) {
  test(`${name} depends on lower layers only`, async () => {
    const manifest = JSON.parse(await readFile(new URL(`packages/${name}/package.json`, root), 'utf8')) as {
      dependencies?: Record<string, string>;
    };
    const own = Object.keys(manifest.dependencies ?? {}).flatMap((dependency) =>
      dependency.startsWith('@sealift/') ? [dependency.slice('@sealift/'.length)] : [],
    );
    for (const dependency of own) {
      // The test kit is for tests, so it may import what stands below the services.
      const ceiling = layers.get(name) === 'dev' ? 'L2' : layers.get(name);
      assert.ok(String(layers.get(dependency)) < String(ceiling), `${name} imports ${dependency}`);
    }
  });
}
