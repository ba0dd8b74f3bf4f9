import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseBlobPath } from './blob-path.ts';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

test('a blob path gives repository and digest', () => {
  for (const repository of ['a', 'library/nginx', 'a/blobs/b', 'blobs/blobs', 'v2/v2', 'x'.repeat(255)]) {
    assert.deepEqual(parseBlobPath(`/v2/${repository}/blobs/${DIGEST}`), { repository, digest: DIGEST });
  }
});

test('anything else is not a blob path', () => {
  const refused = [
    '',
    '/v2/',
    `/v2/blobs/${DIGEST}`,
    `/v2//blobs/${DIGEST}`,
    `/v2/a//blobs/${DIGEST}`,
    `/v2/a/blobs//${DIGEST}`,
    `/v2/a/blobs/${DIGEST}/`,
    `/v2/a/blobs/${DIGEST}?x=1`,
    `/v2/a/blobs/${DIGEST}\n`,
    `/v2/a/blobs/${DIGEST}0`,
    `/v2/a/blobs/${DIGEST.toUpperCase()}`,
    `/v2/a/blobs/sha512:${'0'.repeat(128)}`,
    '/v2/a/blobs/uploads/',
    `/v2/a/manifests/${DIGEST}`,
    `/v1/a/blobs/${DIGEST}`,
    `x/v2/a/blobs/${DIGEST}`,
    `//v2/a/blobs/${DIGEST}`,
    `/v2/../a/blobs/${DIGEST}`,
    `/v2/a/../b/blobs/${DIGEST}`,
    `/v2/a%2Fb/blobs/${DIGEST}`,
    `/v2/A/blobs/${DIGEST}`,
    `/v2/a b/blobs/${DIGEST}`,
    `/v2/${'x'.repeat(256)}/blobs/${DIGEST}`,
  ];
  for (const path of refused) assert.equal(parseBlobPath(path), undefined, JSON.stringify(path));
});

test('any text is a blob path that can be written again, or none', () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc
      .string({ unit: fc.constantFrom('a', '/', '.', '_', '-', 'blobs'), maxLength: 60 })
      .map((name) => `/v2/${name}/blobs/${DIGEST}`),
  );
  fc.assert(
    fc.property(anything, (path) => {
      const parsed = parseBlobPath(path);
      if (parsed !== undefined) assert.equal(`/v2/${parsed.repository}/blobs/${parsed.digest}`, path);
    }),
    { seed: 1, numRuns: 1000 },
  );
});
