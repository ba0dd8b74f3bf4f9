import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { parseClusterId, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import { FakeClock, nodeIdOf } from '@sealift/testkit';
import { openTrackerState } from './tracker-state.ts';

const clusterId = parseClusterId('test');
const DAY_MS = 86_400_000;

async function withDirectory(use: (dataDirectory: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'sealift-state-'));
  try {
    await use(join(root, 'data'));
  } finally {
    await rm(root, { recursive: true });
  }
}

test('a first start makes everything, closed to others, and a second one finds it', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    const first = await openTrackerState({ dataDirectory, clusterId, clock });
    assert.equal((await stat(dataDirectory)).mode & 0o777, 0o700);
    for (const name of await readdir(dataDirectory)) {
      assert.equal((await stat(join(dataDirectory, name))).mode & 0o777, 0o600, name);
    }
    first.close();
    first.close();
    const second = await openTrackerState({ dataDirectory, clock });
    assert.deepEqual(second.clusterInfo, first.clusterInfo);
    assert.equal(second.seederId, first.seederId);
    assert.notEqual(second.grantKey.kid, second.contentKey.kid);
    second.close();
  });
});

test('two first starts at the same moment end up with the same keys', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    const states = await Promise.all([1, 2].map(() => openTrackerState({ dataDirectory, clusterId, clock })));
    assert.deepEqual(states[0]?.clusterInfo, states[1]?.clusterInfo);
    for (const state of states) state.close();
  });
});

test('a directory or database that others may read is refused', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    (await openTrackerState({ dataDirectory, clusterId, clock })).close();
    await chmod(dataDirectory, 0o750);
    await assert.rejects(openTrackerState({ dataDirectory, clusterId, clock }), { code: 'KEY_FILE_UNSAFE' });
    await chmod(dataDirectory, 0o700);
    await chmod(join(dataDirectory, 'tracker.sqlite'), 0o644);
    await assert.rejects(openTrackerState({ dataDirectory, clusterId, clock }), { code: 'KEY_FILE_UNSAFE' });
  });
});

test('another cluster, an absent one and a later version are refused', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    await assert.rejects(openTrackerState({ dataDirectory, clock }), { code: 'CONFIG_INVALID' });
    (await openTrackerState({ dataDirectory, clusterId, clock })).close();
    const other = parseClusterId('other');
    await assert.rejects(openTrackerState({ dataDirectory, clusterId: other, clock }), { code: 'CONFIG_INVALID' });
    const database = new DatabaseSync(join(dataDirectory, 'tracker.sqlite'));
    database.exec('PRAGMA user_version = 99');
    database.close();
    await assert.rejects(openTrackerState({ dataDirectory, clusterId, clock }), { code: 'CONFIG_INVALID' });
  });
});

test('with a passphrase no private key is on the disk, and without it nothing opens', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    const passphrase = 'correct horse';
    const state = await openTrackerState({ dataDirectory, clusterId, passphrase, clock });
    const { token } = state.joinTokens.create({ isReusable: false, ttlMs: 1000 });
    let disk = '';
    for (const name of await readdir(dataDirectory)) disk += await readFile(join(dataDirectory, name), 'latin1');
    assert.ok(disk.includes('BEGIN ENCRYPTED PRIVATE KEY'));
    assert.ok(!disk.includes('BEGIN PRIVATE KEY'));
    assert.ok(!disk.includes(token.slice(-43)));
    state.close();
    await assert.rejects(openTrackerState({ dataDirectory, clock }), { code: 'KEY_FILE_UNSAFE' });
    const wrong = openTrackerState({ dataDirectory, passphrase: 'wrong', clock });
    await assert.rejects(wrong, { code: 'KEY_FILE_UNSAFE' });
  });
});

test('tokens of another process count at once, and its denials with the next turn of the event loop', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    const tracker = await openTrackerState({ dataDirectory, clusterId, clock });
    const cli = await openTrackerState({ dataDirectory, clock });
    const { token, id } = cli.joinTokens.create({ isReusable: true, ttlMs: DAY_MS, note: 'rack 1' });
    assert.equal(tracker.joinTokens.redeem(token), id);
    cli.joinTokens.revoke(id);
    assert.throws(() => tracker.joinTokens.redeem(token), { code: 'JOIN_TOKEN_REJECTED' });
    const changes: unknown[] = [];
    tracker.denyList.onChange((change) => changes.push(change));
    const mallory = nodeIdOf('mallory');
    assert.equal(tracker.denyList.has(mallory), false);
    assert.equal(cli.denyList.deny(mallory, { reason: 'stolen' }), true);
    assert.equal(cli.denyList.deny(mallory), false);
    await setImmediate();
    assert.equal(tracker.denyList.has(mallory), true);
    assert.deepEqual(tracker.pushed.current, { version: 1, nodeIds: [mallory], revocations: [] });
    cli.denyList.allow(mallory);
    await setImmediate();
    assert.deepEqual(tracker.pushed.current, { version: 2, nodeIds: [], revocations: [] });
    assert.deepEqual(changes, [
      { added: [{ nodeId: mallory, reason: 'stolen', deniedAt: clock.now() }], removed: [] },
      { added: [], removed: [mallory] },
    ]);
    cli.close();
    tracker.close();
  });
});

test('a denied node stays denied, but peers need not be told for longer than a certificate lives', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    const state = await openTrackerState({ dataDirectory, clusterId, clock });
    state.denyList.deny(nodeIdOf('mallory'));
    clock.advance(DAY_MS + 60_001);
    assert.deepEqual(state.pushed.current.nodeIds, []);
    assert.equal(state.denyList.has(nodeIdOf('mallory')), true);
    state.close();
  });
});

const repositoryOf = (name: string) => ({
  registry: parseRegistryHost('registry.example'),
  repository: parseRepository(name),
});
const digest = parseDigest(`sha256:${'a'.repeat(64)}`);

test('a revocation by another process counts with the next turn of the event loop and is pushed under a new version, until no older grant can live', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    const tracker = await openTrackerState({ dataDirectory, clusterId, clock });
    const cli = await openTrackerState({ dataDirectory, clock });
    const noticed: unknown[] = [];
    tracker.revocations.onAdded((added) => noticed.push(...added));
    const right = { ...repositoryOf('team/app'), digest, authTime: clock.now() };
    const { version } = tracker.pushed.current;
    const revocation = cli.revocations.revoke(repositoryOf('team/app'));
    await setImmediate();
    assert.equal(tracker.revocations.covers(right), true);
    assert.equal(tracker.revocations.covers({ ...right, authTime: clock.now() + 1_000 }), false);
    assert.deepEqual(tracker.pushed.current, { version: version + 1, nodeIds: [], revocations: [revocation] });
    assert.equal(tracker.pushed.current, tracker.pushed.current);
    assert.deepEqual(noticed, [revocation]);
    clock.advance(66 * 60_000);
    assert.deepEqual(tracker.pushed.current, { version: version + 1, nodeIds: [], revocations: [] });
    cli.close();
    tracker.close();
  });
});

test('revocations are bounded, a repository takes the place of its blobs, and ended ones make room', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    const { revocations, close } = await openTrackerState({ dataDirectory, clusterId, clock });
    for (let index = 0; index < 256; index += 1) {
      revocations.revoke({
        ...repositoryOf('team/app'),
        digest: parseDigest(`sha256:${String(index).padStart(64, '0')}`),
      });
    }
    assert.throws(() => revocations.revoke(repositoryOf('team/other')), { code: 'REVOCATIONS_FULL' });
    assert.equal(revocations.list().length, 256);
    revocations.revoke(repositoryOf('team/app'));
    assert.equal(revocations.list().length, 1);
    clock.advance(66 * 60_000);
    revocations.revoke(repositoryOf('team/other'));
    assert.deepEqual(
      revocations.list().map(({ repository }) => repository),
      ['team/other'],
    );
    close();
  });
});

test('a database of before there were revocations is taken over', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    (await openTrackerState({ dataDirectory, clusterId, clock })).close();
    const database = new DatabaseSync(join(dataDirectory, 'tracker.sqlite'));
    database.exec('DROP TABLE revoked; PRAGMA user_version = 2');
    database.close();
    const { revocations, close } = await openTrackerState({ dataDirectory, clock });
    revocations.revoke(repositoryOf('team/app'));
    close();
  });
});

test('a join token ends by use, by time and by revocation, and says which', async () => {
  await withDirectory(async (dataDirectory) => {
    const clock = new FakeClock();
    const { joinTokens, close } = await openTrackerState({ dataDirectory, clusterId, clock });
    const refusal = (reason: string, tokenId: string) => ({
      code: 'JOIN_TOKEN_REJECTED',
      details: { reason, tokenId },
    });
    const once = joinTokens.create({ isReusable: false, ttlMs: 1000 });
    joinTokens.redeem(once.token);
    assert.throws(() => joinTokens.redeem(once.token), refusal('spent', once.id));
    const many = joinTokens.create({ isReusable: true, ttlMs: 1000 });
    joinTokens.redeem(many.token);
    joinTokens.redeem(many.token);
    clock.advance(1000);
    assert.throws(() => joinTokens.redeem(many.token), refusal('expired', many.id));
    const revoked = joinTokens.create({ isReusable: true, ttlMs: 1000 });
    assert.equal(joinTokens.revoke(revoked.id), true);
    assert.throws(() => joinTokens.redeem(revoked.token), refusal('revoked', revoked.id));
    assert.equal(joinTokens.revoke('0'.repeat(16)), false);
    assert.deepEqual(
      joinTokens.list().map(({ state }) => state),
      ['spent', 'expired', 'revoked'],
    );
    assert.throws(() => joinTokens.create({ isReusable: true, ttlMs: 0 }), { code: 'CONFIG_INVALID' });
    close();
  });
});
