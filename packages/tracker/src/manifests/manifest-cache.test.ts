import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BlobRef, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import { type Manifest, ManifestCache } from './manifest-cache.ts';

const ref = (digit: string, repository = 'team/app'): BlobRef => ({
  registry: parseRegistryHost('registry.example'),
  repository: parseRepository(repository),
  digest: parseDigest(`sha256:${digit.repeat(64)}`),
});
const manifest = (bytes: number): Manifest => ({ bytes: Buffer.alloc(bytes), mediaType: 'a/b' });

test('the manifest that was asked for longest ago makes room, and one that is put twice counts once', () => {
  const cache = new ManifestCache({ maxBytes: 30_000 });
  for (const digit of ['1', '1', '2']) cache.put(ref(digit), manifest(10_000));
  assert.equal(cache.get(ref('1'))?.bytes.length, 10_000);
  cache.put(ref('3'), manifest(10_000));
  assert.deepEqual(
    ['1', '2', '3'].map((digit) => cache.get(ref(digit)) !== undefined),
    [true, false, true],
  );
});

test('equal bytes in another repository are another manifest', () => {
  const cache = new ManifestCache({ maxBytes: 30_000 });
  cache.put(ref('1'), manifest(1));
  assert.equal(cache.get(ref('1', 'team/other')), undefined);
});

test('what is longer than the cache is not kept', () => {
  const cache = new ManifestCache({ maxBytes: 30_000 });
  cache.put(ref('1'), manifest(40_000));
  assert.equal(cache.get(ref('1')), undefined);
});
