import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost, parseRepository } from './blob.ts';
import { parseDigest } from './digest.ts';
import { type ProvenRight, Revocations } from './revocations.ts';

const right: ProvenRight = {
  registry: parseRegistryHost('registry.example'),
  repository: parseRepository('team/app'),
  digest: parseDigest(`sha256:${'a'.repeat(64)}`),
  authTime: 9_000,
};
const others: Record<string, Partial<ProvenRight>> = {
  'another registry': { registry: parseRegistryHost('registry.example:5000') },
  'another repository': { repository: parseRepository('team/app2') },
  'a repository below': { repository: parseRepository('team/app/more') },
};
const { registry, repository, digest } = right;

test('a revoked repository takes every right to it that was proven before, and none that was proven since', () => {
  const revocations = new Revocations([{ registry, repository, provenBefore: 10_000 }]);
  assert.equal(revocations.covers(right), true);
  assert.equal(revocations.covers({ ...right, digest: parseDigest(`sha256:${'b'.repeat(64)}`) }), true);
  assert.equal(revocations.covers({ ...right, authTime: 10_000 }), false);
  for (const [what, change] of Object.entries(others)) {
    assert.equal(revocations.covers({ ...right, ...change }), false, what);
  }
});

test('a revoked blob leaves the others of its repository alone', () => {
  const revocations = new Revocations([{ registry, repository, digest, provenBefore: 10_000 }]);
  assert.equal(revocations.covers(right), true);
  assert.equal(revocations.covers({ ...right, digest: parseDigest(`sha256:${'b'.repeat(64)}`) }), false);
});

test('of several revocations the latest counts, in whatever order they stand', () => {
  const list = [5_000, 10_000, 7_000].map((provenBefore) => ({ registry, repository, provenBefore }));
  const revocations = new Revocations([...list, { registry, repository, digest, provenBefore: 6_000 }]);
  assert.equal(revocations.covers(right), true);
  assert.equal(new Revocations().covers({ ...right, authTime: 0 }), false);
});
