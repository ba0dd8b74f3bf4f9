import assert from 'node:assert/strict';
import { mkdir, open, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError, isAppError } from '@sealift/core';
import type { InspectHashes } from './blob-check.ts';
import { BlobPaths } from './blob-directory.ts';
import { checkStore, type StoreReport } from './store-check.ts';
import {
  creationOf,
  directoryOf,
  fill,
  inTemporaryDirectory,
  sha256,
  testBlob,
  withStore,
  writeTestPiece,
} from './store-fixture.ts';

const knowsNothing: InspectHashes = () => ({ problems: [], hashOf: () => undefined });

async function check(directory: string, options: Partial<Parameters<typeof checkStore>[0]> = {}): Promise<StoreReport> {
  return await checkStore({
    directory,
    inspectHashes: knowsNothing,
    signal: new AbortController().signal,
    ...options,
  });
}

/** A store with one whole blob of three pieces and one that has a piece only; both with a hash list. */
async function filledStore(directory: string) {
  const [whole, part] = [testBlob(), testBlob()];
  await withStore(directory, async (store) => {
    const first = await store.create(creationOf(whole));
    await fill(first, whole);
    for (const record of ['one', 'two', 'three']) await first.appendHashes(Buffer.from(record));
    await first.markComplete();
    const second = await store.create(creationOf(part));
    await writeTestPiece(second, part, 1);
    await second.appendHashes(Buffer.from('one'));
  });
  const [wholePaths, partPaths] = await Promise.all(
    [whole, part].map(async (blob) => new BlobPaths(await directoryOf(directory, blob))),
  );
  assert.ok(wholePaths && partPaths);
  return { whole, part, wholePaths, partPaths };
}

async function flip(path: string, at = 0): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    await file.write(Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, at);
  } finally {
    await file.close();
  }
}

test(
  'a sound store passes, counted, and nothing in it is changed',
  inTemporaryDirectory(async (directory) => {
    const { whole } = await filledStore(directory);
    const { findings, ...counts } = await check(directory);
    assert.deepEqual(findings, []);
    const { usedBytes, bytes } = counts;
    assert.deepEqual(counts, { blobs: 2, completeBlobs: 1, pieces: 4, hashRecords: 4, bytes, usedBytes });
    assert.equal(bytes, whole.bytes.length + whole.geometry.pieceLength);
    await withStore(directory, async (store) => assert.equal(store.usedBytes, usedBytes));
    const [tight] = (await check(directory, { quotaBytes: usedBytes - 1 })).findings;
    assert.match(tight?.reason ?? '', /against a quota/);
    assert.deepEqual((await check(directory, { quotaBytes: usedBytes })).findings, []);
  }),
);

type Filled = Awaited<ReturnType<typeof filledStore>>;
type Damage = readonly [what: string, damage: (filled: Filled) => Promise<void>, says: RegExp, blobsLeft: number];
const DAMAGES: readonly Damage[] = [
  ['a bit of data', ({ wholePaths }) => flip(wholePaths.data, 20_000), /^piece 1 is marked as verified, but/, 2],
  ['data that was cut', ({ wholePaths }) => truncate(wholePaths.data, 100), /^data has the wrong size/, 1],
  ['data that is gone', ({ wholePaths }) => rm(wholePaths.data), /^data is missing/, 1],
  ['the hash of a piece', ({ wholePaths }) => flip(wholePaths.pieces, 40), /^piece 1 is marked as verified, but/, 2],
  ['hashes of pieces that were cut', ({ partPaths }) => truncate(partPaths.pieces, 8), /^pieces has the wrong size/, 1],
  ['a bit too many', ({ partPaths }) => writeFile(partPaths.bitmap, Buffer.of(0xc0)), /^piece 0 is marked/, 2],
  ['a spare bit', ({ partPaths }) => flip(partPaths.bitmap), /spare bit/, 1],
  ['a bitmap that is gone', ({ partPaths }) => rm(partPaths.bitmap), /^bitmap is missing/, 1],
  [
    'a missing bit',
    ({ wholePaths }) => writeFile(wholePaths.bitmap, Buffer.of(0xa0)),
    /^marked as complete, but pieces/,
    2,
  ],
  ['a description', ({ wholePaths }) => flip(wholePaths.meta, 3), /^meta.json is corrupt/, 1],
  [
    'another swarm',
    ({ wholePaths, partPaths }) => copy(partPaths.meta, wholePaths.meta),
    /^meta.json names another/,
    1,
  ],
  [
    'a record in the middle',
    ({ wholePaths }) => flip(wholePaths.hashes, 9),
    /^the hash list is damaged from byte 0/,
    2,
  ],
  [
    'the length of a record',
    ({ wholePaths }) => flip(wholePaths.hashes, 0),
    /^the hash list is damaged from byte 0/,
    2,
  ],
  ['the last record', ({ partPaths }) => flip(partPaths.hashes, 9), /^the hash list is damaged from byte 0/, 2],
  ['an endless hash list', ({ partPaths }) => truncate(partPaths.hashes, 2 ** 20), /^hashes has the wrong size/, 1],
  ['a mark that says something', ({ wholePaths }) => writeFile(wholePaths.complete, 'x'), /^complete has the wrong/, 1],
  ['a list of pieces to check', ({ partPaths }) => writeFile(partPaths.unchecked, 'xy'), /^unchecked has the wrong/, 1],
  ['a foreign file', ({ partPaths }) => writeFile(join(partPaths.directory, 'extra'), ''), /^extra does not belong/, 2],
  ['a link', ({ partPaths }) => symlinkIn(partPaths.data), /^data is no plain file/, 1],
];

for (const [what, damage, says, blobsLeft] of DAMAGES) {
  test(
    `damage is named and mended: ${what}`,
    inTemporaryDirectory(async (directory) => {
      const filled = await filledStore(directory);
      await damage(filled);
      const before = await check(directory);
      const problems = before.findings.filter(({ kind }) => kind === 'problem');
      assert.match(problems[0]?.reason ?? '', says);
      assert.ok(problems.every(({ isMended }) => !isMended));
      assert.deepEqual((await check(directory)).findings, before.findings, 'a check alone changes nothing');
      const mended = await check(directory, { isRepairing: true });
      assert.ok(mended.findings.length > 0 && mended.findings.every(({ isMended }) => isMended));
      const after = await check(directory);
      assert.deepEqual(after.findings, []);
      assert.equal(after.blobs, blobsLeft);
      await withStore(directory, async (store) => assert.equal(store.list().length, blobsLeft));
    }),
  );
}

test(
  'bytes that match their pieces but not the digest make the blob go',
  inTemporaryDirectory(async (directory) => {
    const { whole, wholePaths } = await filledStore(directory);
    const piece = Buffer.alloc(whole.geometry.pieceLength, 1);
    await writeAt(wholePaths.data, 0, piece);
    await writeAt(wholePaths.pieces, 0, sha256(piece));
    const { findings } = await check(directory, { isRepairing: true });
    assert.deepEqual(
      findings.map(({ reason }) => reason),
      ['marked as complete, but the whole does not match its digest'],
    );
    assert.equal((await check(directory)).blobs, 1);
  }),
);

test(
  'a piece that is not what the signed list says is unmarked, and a list with problems takes its blob along',
  inTemporaryDirectory(async (directory) => {
    const { part } = await filledStore(directory);
    const signedElse: InspectHashes = ({ swarmId }) => ({
      problems: [],
      hashOf: (index) => (swarmId === part.swarmId && index === 1 ? Buffer.alloc(32) : undefined),
    });
    const [finding, ...more] = (await check(directory, { inspectHashes: signedElse, isRepairing: true })).findings;
    assert.match(finding?.reason ?? '', /^piece 1 is not what the cluster has signed/);
    assert.deepEqual(more, []);
    assert.deepEqual((await check(directory, { inspectHashes: signedElse })).findings, []);
    const broken: InspectHashes = ({ swarmId }) => ({
      problems: swarmId === part.swarmId ? ['not signed'] : [],
      hashOf: () => undefined,
    });
    assert.equal(
      (await check(directory, { inspectHashes: broken, isRepairing: true })).findings[0]?.reason,
      'not signed',
    );
    assert.equal((await check(directory)).blobs, 1);
  }),
);

test(
  'what a killed process leaves behind is no problem, is named, and goes with a repair',
  inTemporaryDirectory(async (directory) => {
    const { wholePaths, partPaths } = await filledStore(directory);
    await rm(wholePaths.meta);
    await writeFile(join(partPaths.directory, 'hashes.tmp'), 'half');
    await truncate(partPaths.hashes, (await readFile(partPaths.hashes)).length - 1);
    await mkdir(join(directory, 'blobs', '00'), { recursive: true });
    await writeFile(join(directory, 'ballast'), '');
    const { findings } = await check(directory, { isRepairing: true });
    assert.ok(findings.every(({ kind }) => kind === 'leftover'));
    assert.deepEqual(findings.map(({ reason }) => reason).sort(), [
      'half-made, or half-removed',
      'hashes.tmp was never finished',
      'not of the store',
      'the last record of the hash list was never finished',
    ]);
    const left = (await check(directory)).findings;
    assert.deepEqual(
      left.map(({ path }) => path),
      ['ballast'],
      'what the store did not make is not its to remove',
    );
  }),
);

test(
  'a store in use is refused, and so is a directory without one',
  inTemporaryDirectory(async (directory) => {
    await assert.rejects(check(directory), (error) => isAppError(error, 'STORE_FAULT'));
    await assert.rejects(check(join(directory, 'none')), (error) => isAppError(error, 'STORE_FAULT'));
    await filledStore(directory);
    await withStore(directory, async () => {
      await assert.rejects(check(directory), (error) => isAppError(error, 'STORE_LOCKED'));
    });
    assert.equal((await check(directory)).blobs, 2);
  }),
);

test(
  'a check ends when it is asked to, and says how far it is',
  inTemporaryDirectory(async (directory) => {
    await filledStore(directory);
    const ended = new AbortController();
    const reason = new AppError('STORE_CLOSED');
    const seen: number[] = [];
    const onProgress = ({ bytes, totalBlobs }: { bytes: number; totalBlobs: number }): void => {
      assert.equal(totalBlobs, 2);
      seen.push(bytes);
      if (bytes > 0) ended.abort(reason);
    };
    await assert.rejects(check(directory, { onProgress, signal: ended.signal }), reason);
    assert.ok(seen.length >= 2);
    assert.deepEqual((await check(directory)).findings, []);
  }),
);

async function writeAt(path: string, at: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(bytes, 0, bytes.length, at);
  } finally {
    await file.close();
  }
}

async function copy(from: string, to: string): Promise<void> {
  await writeFile(to, await readFile(from));
}

async function symlinkIn(path: string): Promise<void> {
  const bytes = await readFile(path);
  await rm(path);
  await writeFile(`${path}.tmp`, bytes);
  await symlink(`${path}.tmp`, path);
}
