import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost } from '@sealift/core';
import { isLeftOut, isNeverProxied, withoutCredentials } from './proxy-variables.ts';

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

const addresses = [
  ['10.77.0.9:5000', '10.77.0.0/24', true],
  ['10.77.1.9:5000', '10.77.0.0/24', false],
  ['10.77.0.9:5000', '10.77.0.9', true],
  ['10.77.0.9:5000', '10.77.0.9:5000', true],
  ['10.77.0.9:5000', '10.77.0.9:443', false],
  ['10.77.0.9:5000', '10.77.0.0/99', false],
  ['[2001:db8::7]:5000', '2001:DB8:0::7', true],
  ['[2001:db8::7]:5000', '[2001:db8::7]:5000', true],
  ['[2001:db8::7]:5000', '[2001:db8::7]:443', false],
  ['[2001:db8::7]:5000', '2001:db8::/32', true],
  ['[2001:db8::7]:5000', '10.0.0.0/8', false],
  ['[2001:db8::7]:5000', '::7', false],
] as const;
for (const [registry, entry, isOut] of addresses) {
  test(`"${entry}" in NO_PROXY ${isOut ? 'leaves' : 'does not leave'} ${registry} out`, () => {
    assert.equal(isLeftOut(parseRegistryHost(registry), [entry]), isOut);
  });
}

test('no proxy is used for this machine itself', () => {
  const never = ['localhost:5000', '127.0.0.1:5000', '127.9.9.9', '[::1]:5000'];
  assert.deepEqual(
    [...never, '10.0.0.1', 'localhost.example'].filter((name) => isNeverProxied(parseRegistryHost(name))),
    never,
  );
});

test('the address of a proxy is shown without user and password, however it is written', () => {
  for (const [proxy, shown] of [
    ['http://proxy:3128', 'http://proxy:3128'],
    ['http://user:hunter2@proxy:3128', 'http://…@proxy:3128'],
    ['http://user:hunt@er2@proxy:3128', 'http://…@proxy:3128'],
    ['user:hunter2@proxy:3128', '…@proxy:3128'],
  ] as const) {
    assert.equal(withoutCredentials(proxy), shown);
  }
});
