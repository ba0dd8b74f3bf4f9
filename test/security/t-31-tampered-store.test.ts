import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { BlobReader } from '@sealift/store';
import { type TestBlob, TestCluster, type TestPeer } from '../../packages/peer/src/cluster.fixture.ts';

/** A node that holds all of a blob, stopped in good order. */
async function stoppedHolder(cluster: TestCluster, blob: TestBlob, name: string): Promise<void> {
  const holder = await cluster.peer(name);
  await holder.grant(blob);
  const swarm = await holder.engine.download({ ...blob.request, batches: cluster.batches(blob) });
  const release = swarm.acquire();
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  release();
  await holder.stop();
}

async function fileOf(cluster: TestCluster, name: string, file: string): Promise<string> {
  const directory = cluster.directoryOf(name);
  const names = await readdir(directory, { recursive: true });
  const found = names.find((entry) => path.basename(entry) === file);
  assert.ok(found, `${file} is somewhere in ${names.join(' ')}`);
  return path.join(directory, found);
}

async function pull(cluster: TestCluster, blob: TestBlob, name: string): Promise<TestPeer> {
  const peer = await cluster.peer(name);
  await peer.grant(blob);
  const swarm = await peer.engine.download({ ...blob.request, batches: cluster.batches(blob) });
  const release = swarm.acquire();
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  const bytes = Buffer.alloc(blob.bytes.length);
  await swarm.blob.read(0, bytes);
  release();
  assert.ok(bytes.equals(blob.bytes));
  return peer;
}

/** What a local runtime gets of a node that has the blob already. */
async function readLocally(cluster: TestCluster, blob: TestBlob, peer: TestPeer): Promise<Buffer> {
  const swarm = await peer.engine.download({ ...blob.request, batches: cluster.batches(blob) });
  const release = swarm.acquire();
  const chunks: Buffer[] = [];
  const signal = AbortSignal.timeout(20_000);
  const range = { start: 0, end: blob.bytes.length };
  for await (const chunk of new BlobReader(swarm).read(range, { signal })) chunks.push(Buffer.from(chunk));
  release();
  return Buffer.concat(chunks);
}

/** Each changes one file behind the back of the store. */
const changes: Record<string, readonly [file: string, change: (bytes: Buffer) => Buffer]> = {
  'a bit in every piece of the data': [
    'data',
    (bytes) => bytes.map((byte, index) => (index % 1_000 === 7 ? byte ^ 1 : byte)) as Buffer,
  ],
  'the hashes beside the pieces': ['pieces', (bytes) => Buffer.alloc(bytes.length, 7)],
  'the size in its description': [
    'meta.json',
    (bytes) => Buffer.from(bytes.toString().replace(/"size":[0-9]+/, '"size":1')),
  ],
  'a description that is none': ['meta.json', () => Buffer.from('{"__proto__":{"size":1e99}}')],
};

test('T-31: what was changed on the disk of one node reaches nobody, there or elsewhere, and no pull fails by it', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(5);
  await cluster.seeder(blob);
  for (const [index, [name, [file, change]]] of Object.entries(changes).entries()) {
    await t.test(`after a change of ${name}`, async () => {
      const holder = `holder-${index}`;
      await stoppedHolder(cluster, blob, holder);
      const target = await fileOf(cluster, holder, file);
      await writeFile(target, change(await readFile(target)));
      const tampered = await cluster.peer(holder);
      await tampered.grant(blob);
      await pull(cluster, blob, `leecher-${index}`);
      assert.ok((await readLocally(cluster, blob, tampered)).equals(blob.bytes), 'what is read on the node itself');
      await tampered.stop();
    });
  }
});

test('T-31: the store is closed to other users', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(2);
  await cluster.seeder(blob);
  await stoppedHolder(cluster, blob, 'holder');
  const directory = cluster.directoryOf('holder');
  assert.equal((await stat(directory)).mode & 0o077, 0);
});
