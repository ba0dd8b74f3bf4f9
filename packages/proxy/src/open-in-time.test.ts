import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import { openInTime } from './open-in-time.ts';
import type { BlobRequest, OpenBlob } from './ports.ts';

const REQUEST: BlobRequest = {
  blob: {
    registry: parseRegistryHost('registry.test'),
    repository: parseRepository('lib/app'),
    digest: parseDigest(`sha256:${'0'.repeat(64)}`),
  },
  authorization: undefined,
  intent: 'pull',
};

function newBlob(): OpenBlob & { closed: Promise<void> } {
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  return { size: 1, served: { peers: 0, cache: 0 }, read: async function* () {}, close, closed };
}

test('what is opened in time is passed on, and stays open', async () => {
  const blob = newBlob();
  const { signal } = new AbortController();
  assert.equal(await openInTime({ open: async () => blob }, REQUEST, { timeoutMs: 10_000, signal }), blob);
});

test('what is opened too late, by a source that heeds no signal, is closed', async () => {
  const blob = newBlob();
  const { promise, resolve } = Promise.withResolvers<OpenBlob>();
  const { signal } = new AbortController();
  await assert.rejects(openInTime({ open: () => promise }, REQUEST, { timeoutMs: 1, signal }), {
    code: 'SWARM_STALLED',
  });
  resolve(blob);
  await blob.closed;
});

test('what is opened after the client has gone is closed', async () => {
  const blob = newBlob();
  const { promise, resolve } = Promise.withResolvers<OpenBlob>();
  const client = new AbortController();
  const opening = openInTime({ open: () => promise }, REQUEST, { timeoutMs: 10_000, signal: client.signal });
  client.abort();
  await assert.rejects(opening, { name: 'AbortError' });
  resolve(blob);
  await blob.closed;
});

test('a source that fails late disturbs nobody', async () => {
  const { promise, reject } = Promise.withResolvers<OpenBlob>();
  const { signal } = new AbortController();
  await assert.rejects(openInTime({ open: () => promise }, REQUEST, { timeoutMs: 1, signal }));
  reject(new Error('late'));
  await new Promise(setImmediate);
});
