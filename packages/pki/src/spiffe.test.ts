import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClusterId } from '@sealift/core';
import { nodeIdOf } from '@sealift/testkit';
import fc from 'fast-check';
import { formatClusterUri, formatIdentityUri, parseClusterUri, parseIdentityUri } from './spiffe.ts';

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);

test('an identity survives its URI', () => {
  fc.assert(
    fc.property(label, fc.constantFrom('node', 'seeder', 'tracker'), label, (cluster, role, id) => {
      const identity = { clusterId: parseClusterId(cluster), role, id: nodeIdOf(id) };
      assert.deepEqual(parseIdentityUri(formatIdentityUri(identity)), identity);
      assert.equal(parseClusterUri(formatClusterUri(identity.clusterId)), cluster);
    }),
    { seed: 1 },
  );
});

const foreign = [
  'spiffe://alpha/node/alice/',
  'spiffe://alpha/node/alice?x=1',
  'spiffe://alpha/node/alice\n',
  'spiffe://alpha:443/node/alice',
  'spiffe://user@alpha/node/alice',
  'spiffe://Alpha/node/alice',
  'SPIFFE://alpha/node/alice',
  'spiffe://alpha/node/%61lice',
  'spiffe://alpha/admin/alice',
  'spiffe://alpha/node',
  'https://alpha/node/alice',
  '',
];

for (const uri of foreign) {
  test(`${JSON.stringify(uri)} is no identity`, () => {
    assert.equal(parseIdentityUri(uri), undefined);
  });
}
