import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost } from '@sealift/core';
import { isLeftOut } from './proxy-variables.ts';

const rows = [
  ['registry.test', true],
  ['registry.test:5000', true],
  ['.test', true],
  ['*.test', true],
  ['test', true],
  ['*', true],
  ['REGISTRY.test', true],
  ['registry.test:443', false],
  ['.registry.test', false],
  ['istry.test', false],
  ['10.77.0.0/24', false],
] as const;

for (const [entry, isOut] of rows) {
  test(`"${entry}" in NO_PROXY ${isOut ? 'leaves registry.test:5000 out' : 'leaves registry.test:5000 to the proxy'}`, () => {
    assert.equal(isLeftOut(parseRegistryHost('registry.test:5000'), [entry]), isOut);
  });
}
