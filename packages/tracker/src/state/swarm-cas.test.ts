import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { parseClusterId } from '@sealift/core';
import { FakeClock, nodeIdOf } from '@sealift/testkit';
import { openTrackerState, type TrackerState } from './tracker-state.ts';

const clusterId = parseClusterId('test');
const clock = new FakeClock();
const HOUR_MS = 3_600_000;

async function makeDirectory(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'sealift-cas-'));
  t.after(() => rm(root, { recursive: true }));
  return join(root, 'data');
}

async function open(t: TestContext, dataDirectory: string, passphrase?: string): Promise<TrackerState> {
  const state = await openTrackerState({ dataDirectory, clusterId, passphrase, clock });
  t.after(() => state.close());
  return state;
}

test('a rotation goes from one CA over two to one, seen by another process as well', async (t) => {
  const dataDirectory = await makeDirectory(t);
  const [tracker, cli] = [await open(t, dataDirectory), await open(t, dataDirectory)];
  const first = tracker.ca;
  let changes = 0;
  tracker.cas.onChange(() => {
    changes += 1;
  });
  await cli.cas.introduce();
  assert.equal(await tracker.cas.refresh(), true);
  assert.equal(await tracker.cas.refresh(), false);
  const second = tracker.cas.newest;
  assert.equal(tracker.cas.stage, 'introduced');
  assert.deepEqual(
    [tracker.ca, tracker.cas.shown],
    [first, first].map(() => tracker.cas.issuing),
  );
  assert.equal(tracker.ca.fingerprint, first.fingerprint);
  assert.equal(tracker.clusterInfo.trustAnchors, first.certificatePem + second.certificatePem);

  assert.equal(await tracker.cas.activate(), true);
  assert.equal(tracker.cas.stage, 'activated');
  assert.equal(tracker.ca.fingerprint, second.fingerprint);
  assert.equal(tracker.cas.shown.fingerprint, first.fingerprint);
  assert.equal(tracker.clusterInfo.trustAnchors, first.certificatePem + second.certificatePem);

  await cli.cas.refresh();
  assert.equal(await cli.cas.retire(), true);
  await tracker.cas.refresh();
  assert.equal(tracker.cas.stage, 'none');
  assert.equal(tracker.clusterInfo.trustAnchors, second.certificatePem);
  assert.deepEqual(
    [first, second].map(({ name }) => tracker.cas.trusts(name)),
    [false, true],
  );
  assert.equal(changes, 3);
});

test('two rotations do not run at once, and where there is none nothing is activated or retired', async (t) => {
  const dataDirectory = await makeDirectory(t);
  const [one, other] = [await open(t, dataDirectory), await open(t, dataDirectory)];
  assert.equal(await one.cas.activate(), false);
  assert.equal(await one.cas.retire(), false);
  const begun = await Promise.allSettled([one.cas.introduce(), other.cas.introduce()]);
  assert.equal(begun.filter(({ status }) => status === 'fulfilled').length, 1);
  await one.cas.activate();
  await assert.rejects(one.cas.introduce(), { code: 'CONFIG_INVALID' });
  await one.cas.retire();
  await one.cas.introduce();
  assert.equal(one.cas.newest.name, 'CN=Sealift swarm CA test 3');
});

test('a CA that is retired by force before it was replaced is replaced at once', async (t) => {
  const { cas } = await open(t, await makeDirectory(t));
  await cas.introduce();
  const { newest, shown } = cas;
  assert.equal(await cas.retire(), true);
  assert.equal(cas.issuing.fingerprint, newest.fingerprint);
  assert.equal(cas.trusts(shown.name), false);
});

test("the next CA's key is encrypted as the first one is, and a retired key is deleted", async (t) => {
  const dataDirectory = await makeDirectory(t);
  const state = await open(t, dataDirectory, 'correct horse');
  await state.cas.introduce();
  let disk = '';
  for (const name of await readdir(dataDirectory)) disk += await readFile(join(dataDirectory, name), 'latin1');
  assert.ok(!disk.includes('BEGIN PRIVATE KEY'));
  await state.cas.retire();
  const database = new DatabaseSync(join(dataDirectory, 'tracker.sqlite'), { readOnly: true });
  const names = database.prepare('SELECT name FROM keys ORDER BY name').all();
  database.close();
  assert.deepEqual(
    names.map(({ name }) => name),
    ['ca', 'content', 'grant'],
  );
});

test('a rotation waits for nodes with a good certificate that are not denied, and for nobody else', async (t) => {
  const { cas, nodes, denyList } = await open(t, await makeDirectory(t));
  const certified = { certificateEnds: clock.now() + HOUR_MS, issuer: cas.issuing.fingerprint, trustVersion: 0 };
  const add = (name: string, change: Partial<typeof certified> = {}): void =>
    nodes.add({
      id: nodeIdOf(name),
      name,
      enrolledBy: 'join-token',
      tokenId: undefined,
      ...certified,
      ...change,
    });
  add('alice');
  add('bob');
  add('gone', { certificateEnds: clock.now() - 1 });
  add('mallory');
  denyList.deny(nodeIdOf('mallory'));
  await cas.introduce();
  assert.deepEqual(nodes.unawareOf(cas.version), { nodes: 2, until: certified.certificateEnds });
  nodes.renew(nodeIdOf('alice'), { ...certified, trustVersion: cas.version });
  assert.equal(nodes.unawareOf(cas.version).nodes, 1);
  nodes.renew(nodeIdOf('alice'), { ...certified, issuer: cas.newest.fingerprint, trustVersion: cas.version });
  assert.equal(nodes.notIssuedBy(cas.newest.fingerprint).nodes, 1);
});

test('a database of before there were rotations is taken over', async (t) => {
  const dataDirectory = await makeDirectory(t);
  const before = await open(t, dataDirectory);
  before.close();
  const database = new DatabaseSync(join(dataDirectory, 'tracker.sqlite'));
  database.exec(`
    ALTER TABLE nodes DROP COLUMN issuer; ALTER TABLE nodes DROP COLUMN trust_version;
    DROP TABLE revoked;
    INSERT INTO nodes VALUES ('node-1', '', 'join-token', NULL, 0, 0, ${clock.now() + HOUR_MS});
    PRAGMA user_version = 1;`);
  database.close();
  const { cas, nodes } = await open(t, dataDirectory);
  assert.equal(cas.issuing.fingerprint, before.ca.fingerprint);
  await cas.introduce();
  assert.equal(nodes.unawareOf(cas.version).nodes, 1);
  assert.equal(nodes.notIssuedBy(cas.newest.fingerprint).nodes, 1);
});
