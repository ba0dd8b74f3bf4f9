import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRepository } from '@sealift/core';
import type { TestBlob } from './cluster.fixture.ts';
import { bytesOf, PIECE, SeederScene } from './registry-seeder.fixture.ts';

const SIZE = 4 * PIECE - 1_000;
const [GOOD, OTHER] = ['Bearer good', 'Bearer other'];
const MAX_OPEN = 16;

/** Has the seeder open a blob as the tracker does while it asks for the right to it. */
function openAhead(scene: SeederScene, { digest, swarmId }: TestBlob, authorization = GOOD): Disposable | undefined {
  const blob = { registry: scene.registry.host, repository: parseRepository('team/app'), digest };
  return scene.seeder.openAhead({ blob, swarmId, authorization });
}

test('what was opened while the right was being proven is what the read reads, and nothing else', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const ahead = openAhead(scene, blob);
  assert.equal(openAhead(scene, blob), undefined, 'it is open');
  const offer = await scene.ask(blob, { authorization: GOOD, size: SIZE });
  ahead?.[Symbol.dispose]();
  const { peer, swarm } = await scene.leech('puller', blob, offer);
  await swarm.waitForComplete({ signal: t.signal });
  assert.deepEqual(await bytesOf(peer, blob), blob.bytes);
  assert.equal(openAhead(scene, blob), undefined, 'it is here');
  assert.deepEqual(scene.registry.counts(blob.digest), { gets: 1, heads: 0, bytesSent: SIZE });
});

test('without a right nothing of it is read, kept or offered, and its connection is cut', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const held = scene.registry.hold(blob.digest);
  const ahead = openAhead(scene, blob);
  await scene.registry.received('GET', blob.digest);
  await held.release(PIECE + 1_000);
  assert.equal(scene.seeder.isSeeding(blob.swarmId), false);
  ahead?.[Symbol.dispose]();
  await held.gone();
  assert.equal(scene.peer.store.get(blob.swarmId), undefined);
  held.releaseAll();
  assert.equal((await scene.ask(blob, { authorization: OTHER })).kind, 'swarm');
  assert.deepEqual(
    scene.gets(blob).map(({ authorization }) => authorization),
    [GOOD, OTHER],
  );
});

test('whoever may have it reads what somebody else had opened, so that the registry sends it once', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const ahead = openAhead(scene, blob);
  assert.equal((await scene.ask(blob, { authorization: OTHER })).kind, 'swarm');
  ahead?.[Symbol.dispose]();
  await scene.logged('ingest_finished');
  assert.equal(scene.registry.counts(blob.digest).gets, 1);
});

for (const [what, fault] of [
  ['refused', { kind: 'status', status: 401 }],
  ['never answered', { kind: 'hang' }],
] as const) {
  test(`what somebody else had opened and is ${what} keeps nobody from reading`, async (t) => {
    const scene = await SeederScene.create(t);
    const blob = scene.blob(SIZE);
    scene.registry.fail(blob.digest, fault);
    const ahead = openAhead(scene, blob);
    await scene.registry.received('GET', blob.digest);
    assert.equal((await scene.ask(blob, { authorization: OTHER })).kind, 'swarm');
    ahead?.[Symbol.dispose]();
    await scene.logged('ingest_finished');
    assert.deepEqual(
      scene.gets(blob).map(({ authorization }) => authorization),
      [GOOD, OTHER],
    );
  });
}

test('one that fails with its own header fails as a read does, and is not asked for twice', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'status', status: 403 });
  using _ahead = openAhead(scene, blob);
  assert.deepEqual(await scene.ask(blob, { authorization: GOOD }), { kind: 'none', reason: 'REGISTRY_REFUSED' });
  assert.equal(scene.registry.counts(blob.digest).gets, 1);
});

test('a registry that wants to be asked later is asked later, also where the question came early', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'status', status: 429, headers: { 'retry-after': '60' } });
  using _ahead = openAhead(scene, blob);
  assert.deepEqual(await scene.ask(blob, { authorization: GOOD }), { kind: 'none', reason: 'REGISTRY_UNAVAILABLE' });
  assert.equal(openAhead(scene, blob), undefined, 'not before that time');
});

test('a large blob is read over several connections all the same', async (t) => {
  const ranges = { minBytes: 2 * PIECE, segmentBytes: PIECE, perBlob: 2, inAll: 2 };
  const scene = await SeederScene.create(t, { ranges });
  const blob = scene.blob(SIZE);
  using _ahead = openAhead(scene, blob);
  assert.equal((await scene.ask(blob, { authorization: GOOD, size: SIZE })).kind, 'swarm');
  await scene.logged('ingest_finished');
  const [first, ...others] = scene.gets(blob).map(({ range }) => range);
  assert.equal(first, undefined);
  assert.ok(others.length > 2 && others.every((range) => range !== undefined), others.join());
});

test('only so many are open at once, and a stop cuts them', async (t) => {
  const scene = await SeederScene.create(t);
  const blobs = Array.from({ length: MAX_OPEN + 1 }, () => scene.blob(SIZE));
  const held = blobs.map(({ digest }) => scene.registry.hold(digest));
  const opened = blobs.map((blob) => openAhead(scene, blob));
  assert.deepEqual(
    opened.map((ahead) => ahead !== undefined),
    [...Array(MAX_OPEN).fill(true), false],
  );
  for (const { digest } of blobs.slice(0, MAX_OPEN)) await scene.registry.received('GET', digest);
  await scene.seeder.stop();
  await Promise.all(held.slice(0, MAX_OPEN).map((body) => body.gone()));
  assert.equal(openAhead(scene, blobs.at(-1) as TestBlob), undefined);
});
