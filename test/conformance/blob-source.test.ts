import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { digestFromSha256 } from '@sealift/core';
import { blobSourceConformance } from '../../packages/proxy/src/blob-source.conformance.ts';
import type { BlobSource } from '../../packages/proxy/src/ports.ts';
import { remoteNode } from './remote-node.ts';
import { WiredCluster } from './wired-node.ts';

const SIZE = 1_300_000;

blobSourceConformance('the engine of a node, with a tracker, a seeder and a registry,', async () => {
  const cluster = await WiredCluster.start();
  const source: BlobSource = await cluster.node();
  const [authorization, wrongAuthorization] = await Promise.all([
    cluster.authorization('team/app'),
    cluster.authorization('other/app'),
  ]);
  const blob = cluster.addBlob(SIZE);
  return { source, blob, size: SIZE, authorization, wrongAuthorization, stop: () => cluster.stop() };
});

blobSourceConformance('the front of a node, with its engine at the other end of a channel,', async () => {
  const cluster = await WiredCluster.start();
  const { source, cut } = remoteNode(await cluster.wholeNode());
  const [authorization, wrongAuthorization] = await Promise.all([
    cluster.authorization('team/app'),
    cluster.authorization('other/app'),
  ]);
  const blob = cluster.addBlob(SIZE);
  const stop = async (): Promise<void> => {
    cut();
    await cluster.stop();
  };
  return { source, blob, size: SIZE, authorization, wrongAuthorization, stop };
});

test('three nodes that pull at once get the same blob from one GET, large or small', async (t) => {
  const cluster = await WiredCluster.start();
  t.after(() => cluster.stop());
  const sources: BlobSource[] = await Promise.all([cluster.node(), cluster.node(), cluster.node()]);
  const authorization = await cluster.authorization('team/app');
  for (const size of [SIZE, 3_000]) {
    const blob = cluster.addBlob(size);
    const digests = await Promise.all(
      sources.map(async (source) => {
        const opened = await source.open({ blob, authorization, intent: 'pull' }, { signal: t.signal });
        assert.ok(opened);
        const sha256 = createHash('sha256');
        for await (const chunk of opened.read({ start: 0, end: opened.size }, { signal: t.signal }))
          sha256.update(chunk);
        opened.close();
        return digestFromSha256(sha256.digest());
      }),
    );
    assert.deepEqual(new Set(digests), new Set([blob.digest]));
    assert.equal(cluster.registry.counts(blob.digest).gets, 1);
  }
});
