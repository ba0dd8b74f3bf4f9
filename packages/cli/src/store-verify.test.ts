import assert from 'node:assert/strict';
import { createHash, randomFillSync } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { createContentSigner, signHashBatch } from '@sealift/bittorrent';
import {
  BLOCK_LENGTH,
  type ClusterId,
  digestFromSha256,
  parseClusterId,
  parseRegistryHost,
  pieceGeometry,
  silentLogger,
  swarmIdOf,
  systemClock,
} from '@sealift/core';
import { BlobStore } from '@sealift/store';
import { openTrackerState } from '@sealift/tracker';
import { CliProcess, inTemporaryDirectory } from './cli-process.fixture.ts';

const registry = parseRegistryHost('registry.example');
const bytes = randomFillSync(Buffer.alloc(BLOCK_LENGTH));
const digest = digestFromSha256(sha256(bytes));
const geometry = pieceGeometry(bytes.length, BLOCK_LENGTH);

function sha256(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}

/** A store with one whole blob, whose list is what `sign` makes for its swarm. */
async function fillStore(
  directory: string,
  clusterId: ClusterId,
  sign?: (batch: Parameters<typeof signHashBatch>[0]) => Buffer,
): Promise<{ store: BlobStore; dataFile: string }> {
  const store = new BlobStore({ directory, quotaBytes: 2 ** 30, clock: systemClock, log: silentLogger });
  await store.start();
  const swarmId = swarmIdOf(clusterId, registry, digest);
  const blob = await store.create({ blob: { registry, digest }, swarmId, geometry });
  await blob.writePiece(0, new Uint8Array(bytes).buffer, sha256(bytes));
  const { size, pieceLength } = geometry;
  const fixed = {
    swarmId,
    digest,
    size,
    pieceLength,
    startedAt: 1,
    firstIndex: 0,
    isComplete: true,
    isWithdrawn: false,
  };
  if (sign !== undefined) await blob.appendHashes(sign({ ...fixed, hashes: sha256(bytes) }));
  await blob.markComplete();
  return { store, dataFile: blob.dataFile };
}

async function verify(
  ...args: string[]
): Promise<{ status: number | string; said: string; report: Record<string, unknown> }> {
  const cli = new CliProcess(['store', 'verify', '--json', ...args]);
  const status = await cli.ended();
  return { status, said: cli.said, report: JSON.parse(cli.printed || '{}') as Record<string, unknown> };
}

test("a node's store is refused while it is in use, passes when it is sound, and fails and is mended when it is not", () =>
  inTemporaryDirectory(async (data) => {
    const { store, dataFile } = await fillStore(path.join(data, 'blobs'), parseClusterId('test'));
    const refused = await verify('--data', data);
    assert.equal(refused.status, 1);
    assert.match(refused.said, /another process uses this data directory.*stop the other process/);
    await store.stop();
    const { status, report } = await verify('--data', data);
    assert.deepEqual([status, report['isSound'], report['blobs'], report['completeBlobs']], [0, true, 1, 1]);
    await writeFile(dataFile, Buffer.alloc(geometry.size));
    const broken = await verify('--data', data);
    assert.equal(broken.status, 1);
    assert.match(broken.said, /a store does not pass its check: 1 problems. Run it with --repair/);
    const mended = await verify('--data', data, '--repair');
    assert.deepEqual([mended.status, mended.report['isSound'], mended.report['pieces']], [0, true, 0]);
    assert.deepEqual((await verify('--data', data)).report['findings'], []);
  }));

test("the lists in a tracker's store are held against the key and the name of its cluster", () =>
  inTemporaryDirectory(async (data) => {
    const clusterId = parseClusterId('test');
    const state = await openTrackerState({ dataDirectory: data, clusterId, clock: systemClock });
    const signer = createContentSigner(state.contentKey.privateKey);
    state.close();
    const directory = path.join(data, 'seeder');
    const one = await fillStore(directory, clusterId, (batch) => signHashBatch(batch, signer));
    await one.store.stop();
    const sound = await verify('--data', data);
    assert.equal(sound.status, 0, sound.said);
    assert.deepEqual(sound.report['hashLists'], { signed: 1, ofOtherKeys: 0 });
    // Its checksum is right, its signature is not.
    const forged = { keyId: signer.keyId, sign: () => Buffer.alloc(64) };
    const two = await fillStore(directory, parseClusterId('other'), (batch) => signHashBatch(batch, forged));
    await two.store.stop();
    const { status, report } = await verify('--data', data);
    assert.equal(status, 1);
    const reasons = (report['findings'] as { reason: string }[]).map(({ reason }) => reason);
    assert.match(reasons.join(), /of another cluster.*record 0 of the hash list: .*not signed by this cluster/);
    assert.equal((await verify('--data', data, '--repair')).status, 0);
    assert.equal((await readdir(path.join(directory, 'blobs'))).length, 1);
  }));

test('a directory without a store is a mistake of whoever asks', () =>
  inTemporaryDirectory(async (data) => {
    const { status, said } = await verify('--data', data);
    assert.equal(status, 64);
    assert.match(said, /there is no store in .*Name the data directory/);
  }));
