import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ERROR_CODES } from '@sealift/core';

const page = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8');

test('docs/errors.md lists every error code with its status and summary, and no other', () => {
  const documented = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d+|–) \| ([^|]+) \|/gm)].map(
    ([, code, status, summary]) => ({
      code,
      status: status === '–' ? undefined : Number(status),
      summary: summary?.trim(),
    }),
  );
  const inCode = Object.entries(ERROR_CODES).map(([code, { status, summary }]) => ({ code, status, summary }));
  assert.deepEqual(documented, inCode);
});
