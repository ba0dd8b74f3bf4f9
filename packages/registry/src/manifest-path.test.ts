import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDigest, parseRepository } from '@sealift/core';
import { formatManifestPath, parseManifestPath } from './manifest-path.ts';

const DIGEST = parseDigest(`sha256:${'0123456789abcdef'.repeat(4)}`);

test('a manifest path gives repository and tag or digest', () => {
  for (const name of ['a', 'library/nginx', 'a/manifests/b', 'v2/v2']) {
    const repository = parseRepository(name);
    const byDigest = { repository, reference: { kind: 'digest', digest: DIGEST } };
    assert.deepEqual(parseManifestPath(formatManifestPath({ repository, digest: DIGEST })), byDigest);
    for (const tag of ['1', 'latest', 'V1.2_3-x', 'x'.repeat(128)]) {
      const byTag = { repository, reference: { kind: 'tag', tag } };
      assert.deepEqual(parseManifestPath(`/v2/${name}/manifests/${tag}`), byTag);
    }
  }
});

test('anything else is not a manifest path', () => {
  const refused = [
    ...['', '/v2/', `/v2/manifests/${DIGEST}`, `/v2//manifests/${DIGEST}`, `/v2/a/manifests/${DIGEST}/`],
    ...[`/v2/a/manifests/${DIGEST}?x=1`, `/v2/a/manifests/${DIGEST}\n`, `/v2/a/manifests/${DIGEST}0`],
    ...[`/v2/a/manifests/${DIGEST.toUpperCase()}`, `/v2/a/manifests/sha512:${'0'.repeat(128)}`],
    ...[`/v2/a/blobs/${DIGEST}`, '/v2/a/manifests/.1', '/v2/a/manifests/a%2Fb', '/v2/A/manifests/1'],
    ...[`/v2/a/manifests/${'x'.repeat(129)}`, `/v2/${'a'.repeat(300)}/manifests/1`],
  ];
  for (const path of refused) assert.equal(parseManifestPath(path), undefined, path);
});
