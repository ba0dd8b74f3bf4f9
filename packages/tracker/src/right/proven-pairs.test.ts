import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BlobRef, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { PAIR_TTL_MS, ProvenPairs } from './proven-pairs.ts';

const blob: BlobRef = {
  registry: parseRegistryHost('registry.example'),
  repository: parseRepository('team/app'),
  digest: parseDigest(`sha256:${'a'.repeat(64)}`),
};

test('a proof is about one registry, repository and digest, and lives ten minutes from the question', () => {
  const clock = new FakeClock();
  const pairs = new ProvenPairs({ clock });
  const proof = { provenAt: clock.now(), size: 1 };
  pairs.put(blob, proof);
  clock.advance(PAIR_TTL_MS - 1);
  assert.deepEqual(pairs.get(blob), proof);
  const others: Partial<BlobRef>[] = [
    { registry: parseRegistryHost('registry.example:5000') },
    { repository: parseRepository('team/app2') },
    { digest: parseDigest(`sha256:${'b'.repeat(64)}`) },
  ];
  for (const other of others) assert.equal(pairs.get({ ...blob, ...other }), undefined);
  clock.advance(1);
  assert.equal(pairs.get(blob), undefined);
});

test('proofs are bounded, and what was used longest ago goes first', () => {
  const clock = new FakeClock();
  const pairs = new ProvenPairs({ clock, maxPairs: 2 });
  const of = (name: string): BlobRef => ({ ...blob, repository: parseRepository(name) });
  const proof = { provenAt: clock.now(), size: 1 };
  for (const name of ['a', 'b']) pairs.put(of(name), proof);
  assert.ok(pairs.get(of('a')));
  pairs.put(of('c'), proof);
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => pairs.get(of(name)) !== undefined),
    [true, false, true],
  );
  pairs.drop(of('a'));
  assert.equal(pairs.get(of('a')), undefined);
});
