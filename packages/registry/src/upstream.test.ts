import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost } from '@sealift/core';
import { upstreamOrigin } from './upstream.ts';

test('Docker Hub is asked at one place under each of its names, so that one right is not three', () => {
  for (const name of ['docker.io', 'index.docker.io', 'registry-1.docker.io', 'registry-1.docker.io:443']) {
    assert.equal(upstreamOrigin(parseRegistryHost(name)), 'https://registry-1.docker.io');
  }
});

test('any other registry is asked where its name says', () => {
  for (const name of ['registry.example:5000', 'auth.docker.io', 'registry-1.docker.io:5000', '[::1]:5000']) {
    assert.equal(upstreamOrigin(parseRegistryHost(name)), `https://${name}`);
  }
});
