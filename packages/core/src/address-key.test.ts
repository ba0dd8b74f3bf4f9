import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressKey, plainAddress } from './address-key.ts';

const keys = [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  [undefined, 'unknown'],
  ['not an address', 'unknown'],
] as const;
for (const [address, key] of keys) {
  test(`${address} counts under ${key}`, () => assert.equal(addressKey(address), key));
}

test('only an IPv4 address in IPv6 clothes is unwrapped', () => {
  assert.equal(plainAddress('::ffff:10.0.0.1'), '10.0.0.1');
  assert.equal(plainAddress('::ffff:a00:1'), '::ffff:a00:1');
});
