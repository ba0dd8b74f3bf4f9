import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseLoopbackAddresses } from './loopback-addresses.ts';

test('each part of a demo gets an address of its own', async () => {
  const { registry, tracker, nodes } = await chooseLoopbackAddresses(16, async () => true);
  assert.equal(new Set([registry, tracker, ...nodes]).size, 18);
});

test('where one alias of the loopback address is missing, all parts share 127.0.0.1', async () => {
  const addresses = await chooseLoopbackAddresses(2, async (host) => host !== '127.0.0.12');
  assert.deepEqual(addresses, { registry: '127.0.0.1', tracker: '127.0.0.1', nodes: ['127.0.0.1', '127.0.0.1'] });
});
