import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { createContentSigner, type HashBatch, signHashBatch } from '@sealift/bittorrent';
import { BlobReader } from '@sealift/store';
import { hashOf, pieceOf, type TestBlob, TestCluster, type TestPeer } from '../../packages/peer/src/cluster.fixture.ts';
import { RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';

// All that is replayed here was signed by the cluster's own seeder, at another time.

/** A blob of the same digest, as a registry gave it that lied. */
function falsely(blob: TestBlob): TestBlob {
  return { ...blob, bytes: Buffer.from(blob.bytes.map((byte) => byte ^ 1)) };
}

function batch(cluster: TestCluster, blob: TestBlob, change: Partial<HashBatch>): Buffer {
  const { swarmId, digest, geometry } = blob;
  const { size, pieceLength } = geometry;
  const base = { swarmId, digest, size, pieceLength, startedAt: 1_000, firstIndex: 0, hashes: Buffer.alloc(0) };
  return signHashBatch({ ...base, isComplete: false, isWithdrawn: false, ...change }, cluster.signer);
}

function hashesOf(blob: TestBlob): Buffer {
  return Buffer.concat(Array.from({ length: blob.geometry.pieceCount }, (_, index) => hashOf(blob, index)));
}

/** An enrolled node with a right to the blob, that holds nothing. */
async function mallory(cluster: TestCluster, blob: TestBlob, victim: TestPeer): Promise<RawPeer> {
  const credentials = await cluster.attacker();
  const peer = await RawPeer.dial(victim.engine.port, credentials.tls);
  peer.greet(blob.swarmId, credentials.identity.id, await cluster.mint(blob, credentials));
  await peer.opened();
  peer.send({ type: 'have-none' });
  return peer;
}

async function scene(t: TestContext) {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const seeder = await cluster.peer('seeder', { role: 'seeder' });
  await seeder.grant(blob);
  const ingest = await seeder.engine.ingest({ ...blob.request, signer: cluster.signer });
  const leecher = await cluster.peer('leecher');
  await leecher.grant(blob);
  const offered = seeder.engine.swarm(blob.swarmId)?.hashes.records ?? [];
  const swarm = await leecher.engine.download({ ...blob.request, batches: offered });
  swarm.acquire();
  return { cluster, blob, seeder, ingest, leecher, swarm };
}

const spread = (payload: Buffer) => ({ type: 'extended', id: 1, payload }) as const;

test('T-15: an ingest is known by its beginning, before it has a piece', async (t) => {
  const { swarm } = await scene(t);
  assert.ok(swarm.hashes.list.startedAt > 1_000);
  assert.equal(swarm.hashes.list.knownCount, 0);
});

test('T-15: an old withdrawal and old hashes change nothing, and cost their sender nothing', async (t) => {
  const { cluster, blob, ingest, leecher, swarm } = await scene(t);
  const attacker = await mallory(cluster, blob, leecher);
  attacker.send(
    spread(batch(cluster, blob, { isWithdrawn: true })),
    spread(batch(cluster, blob, { hashes: hashesOf(falsely(blob)) })),
  );
  for (let index = 0; index < 4; index += 1) await ingest.addPiece(index, pieceOf(blob, index));
  await ingest.complete();
  await swarm.waitForComplete({ signal: t.signal });
  const bytes = Buffer.alloc(blob.bytes.length);
  await swarm.blob.read(0, bytes);
  assert.deepEqual(bytes, blob.bytes);
  assert.deepEqual(leecher.reports, []);
  // Later withdrawals, of whatever ingest, come too late as well.
  attacker.send(spread(batch(cluster, blob, { isWithdrawn: true, startedAt: Date.now() + 60_000 })));
  attacker.send({ type: 'not-interested' }, { type: 'interested' });
  await attacker.next('unchoke');
  assert.equal(swarm.isComplete, true);
  assert.equal(leecher.engine.swarm(blob.swarmId), swarm);
});

test('T-15: a piece of a read that was false is dropped when a newer one says so, fetched anew, and its reader is told', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const lie = falsely(blob);
  const leecher = await cluster.peer('leecher');
  const stored = await leecher.store.create(blob.request);
  for (const index of [0, 1]) await stored.writePiece(index, pieceOf(lie, index), hashOf(lie, index));
  await leecher.grant(blob);
  const batches = [batch(cluster, blob, { hashes: hashesOf(lie) })];
  const swarm = await leecher.engine.download({ ...blob.request, batches });
  swarm.acquire();
  const range = { start: 0, end: blob.bytes.length };
  const chunks = new BlobReader(swarm).read(range, { signal: t.signal })[Symbol.asyncIterator]();
  assert.equal((await chunks.next()).done, false);
  const holder = await mallory(cluster, blob, leecher);
  const seeder = await cluster.seeder(blob);
  await swarm.waitForComplete({ signal: t.signal });
  const bytes = Buffer.alloc(blob.bytes.length);
  await swarm.blob.read(0, bytes);
  assert.deepEqual(bytes, blob.bytes);
  await assert.rejects(
    async () => {
      while (!(await chunks.next()).done);
    },
    { code: 'SWARM_WITHDRAWN' },
  );
  await holder.closed;
  assert.deepEqual([leecher.reports, seeder.reports], [[], []]);
});

test('T-15: a piece whose hash nobody remembers counts only once the signed list confirms it', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const lie = falsely(blob);
  const leecher = await cluster.peer('leecher');
  const stored = await leecher.store.create(blob.request);
  for (const [index, version] of [lie, blob, blob, blob].entries())
    await stored.writePiece(index, pieceOf(version, index), hashOf(version, index));
  await leecher.grant(blob);
  const swarm = await leecher.engine.download({ ...blob.request, batches: cluster.batches(blob) });
  swarm.acquire();
  assert.equal(swarm.isComplete, false);
  assert.equal(stored.bitfield.count, 0);
  await cluster.seeder(blob);
  await swarm.waitForComplete({ signal: t.signal });
  const bytes = Buffer.alloc(blob.bytes.length);
  await swarm.blob.read(0, bytes);
  assert.deepEqual(bytes, blob.bytes);
  assert.equal(swarm.stats.bytesFromPeers, blob.geometry.pieceLength, 'what was right was not fetched again');
});

test('T-15: a withdrawal that was heard and not obeyed before the end of the process is obeyed at the next start', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const lie = falsely(blob);
  const leecher = await cluster.peer('leecher');
  const stored = await leecher.store.create(blob.request);
  await stored.writePiece(0, pieceOf(lie, 0), hashOf(lie, 0));
  await stored.appendHashes(batch(cluster, blob, { hashes: hashesOf(lie) }));
  await stored.appendHashes(batch(cluster, blob, { isWithdrawn: true }));
  await leecher.grant(blob);
  await cluster.seeder(blob);
  const swarm = await leecher.engine.download({ ...blob.request, batches: cluster.batches(blob) });
  swarm.acquire();
  await swarm.waitForComplete({ signal: t.signal });
});

test('T-15: hashes and progress that the cluster did not sign end the connection, and change nothing', async (t) => {
  const { cluster, blob, ingest, leecher, swarm } = await scene(t);
  const stranger = createContentSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  const { swarmId, digest, geometry } = blob;
  const base = { swarmId, digest, size: geometry.size, pieceLength: geometry.pieceLength, firstIndex: 0 };
  const forged = signHashBatch(
    { ...base, startedAt: Date.now() + 1_000, hashes: hashesOf(falsely(blob)), isComplete: true, isWithdrawn: false },
    stranger,
  );
  const attacker = await mallory(cluster, blob, leecher);
  attacker.send(spread(forged));
  await attacker.closed;
  // What the cluster has signed, with another hash in it.
  const changed = batch(cluster, blob, { startedAt: Date.now() + 1_000, hashes: hashesOf(blob) });
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  const editor = await mallory(cluster, blob, leecher);
  editor.send(spread(changed));
  await editor.closed;
  const liar = await mallory(cluster, blob, leecher);
  // Signed by nobody: it claims that all of the blob has come.
  liar.send({
    type: 'extended',
    id: 2,
    payload: Buffer.concat([Buffer.alloc(64), Buffer.alloc(28), Buffer.alloc(8, 1)]),
  });
  await liar.closed;
  for (let index = 0; index < 4; index += 1) await ingest.addPiece(index, pieceOf(blob, index));
  await ingest.complete();
  await swarm.waitForComplete({ signal: t.signal });
});
