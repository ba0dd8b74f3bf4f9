import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { checksOf } from '../../packages/cli/src/doctor/checks.ts';
import { subjectOf } from '../../packages/cli/src/doctor/doctor.fixture.ts';

test('docs/operations.md names each check of sealift doctor, in its order, and no other', async () => {
  const page = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const [, section = ''] = page.split('| check | what it looks at |');
  const documented = [...(section.split('\n## ')[0] ?? '').matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, id]) => id);
  assert.deepEqual(
    documented,
    checksOf(subjectOf('/')).map(({ id }) => id),
  );
});

test('no check needs one that comes after it', () => {
  const seen = new Set<string>();
  for (const { id, needs } of checksOf(subjectOf('/'))) {
    for (const need of needs) assert.ok(seen.has(need), `${id} needs ${need}`);
    seen.add(id);
  }
});
