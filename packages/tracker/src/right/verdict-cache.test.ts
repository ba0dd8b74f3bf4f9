import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BlobRef, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { DENIED_TTL_MS, GRANTED_TTL_MS, VerdictCache, verdictKey } from './verdict-cache.ts';

const blob: BlobRef = {
  registry: parseRegistryHost('registry.example'),
  repository: parseRepository('team/app'),
  digest: parseDigest(`sha256:${'a'.repeat(64)}`),
};
const key = verdictKey(blob, 'Bearer a');
const forever = { credentialExpiresAt: undefined };

test('a verdict is found by nothing but its own credential, registry, repository and digest', () => {
  const others = [
    verdictKey(blob, 'Bearer b'),
    verdictKey(blob, undefined),
    verdictKey(blob, ''),
    verdictKey(blob, 'bearer a'),
    verdictKey({ ...blob, registry: parseRegistryHost('registry.example:5000') }, 'Bearer a'),
    verdictKey({ ...blob, repository: parseRepository('team/ap') }, 'Bearer a'),
    verdictKey({ ...blob, digest: parseDigest(`sha256:${'b'.repeat(64)}`) }, 'Bearer a'),
  ];
  assert.equal(new Set([key, ...others]).size, others.length + 1);
  assert.ok(!key.includes('Bearer'));
});

test('a yes lives a minute from the question, and never longer than the credential', () => {
  const clock = new FakeClock();
  const cache = new VerdictCache({ clock });
  const yes = { kind: 'granted', by: 'registry', provenAt: clock.now(), size: 1 } as const;
  cache.put(key, yes, forever);
  clock.advance(GRANTED_TTL_MS - 1);
  assert.deepEqual(cache.get(key), yes);
  clock.advance(1);
  assert.equal(cache.get(key), undefined);
  cache.put(key, { ...yes, provenAt: clock.now() }, { credentialExpiresAt: clock.now() + 5 });
  clock.advance(5);
  assert.equal(cache.get(key), undefined);
  cache.put(key, { ...yes, provenAt: clock.now() }, { credentialExpiresAt: clock.now() - 5 });
  assert.equal(cache.get(key), undefined);
});

test('a no is short, and what nobody could say is not kept', () => {
  const clock = new FakeClock();
  const cache = new VerdictCache({ clock });
  cache.put(key, { kind: 'unavailable', reason: '' }, forever);
  assert.equal(cache.get(key), undefined);
  cache.put(key, { kind: 'denied', reason: '' }, forever);
  assert.equal(cache.get(key)?.kind, 'denied');
  clock.advance(DENIED_TTL_MS);
  assert.equal(cache.get(key), undefined);
});

test('the cache is bounded and drops what was used longest ago', () => {
  const clock = new FakeClock();
  const cache = new VerdictCache({ clock, maxVerdicts: 3 });
  const keys = ['a', 'b', 'c', 'd'].map((name) => verdictKey(blob, name));
  const put = (index: number) =>
    cache.put(keys[index] ?? key, { kind: 'granted', by: 'registry', provenAt: clock.now(), size: index }, forever);
  [0, 1, 2].forEach(put);
  assert.ok(cache.get(keys[0] ?? key));
  put(3);
  assert.equal(cache.size, 3);
  assert.equal(cache.get(keys[1] ?? key), undefined);
  assert.ok(cache.get(keys[0] ?? key));
});
