import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { TestBlob } from './cluster.fixture.ts';
import { bytesOf, SeederScene } from './registry-seeder.fixture.ts';

const MIB = 1024 * 1024;
const SIZE = 9 * MIB + 12_345;
const ranges = { minBytes: 4 * MIB, segmentBytes: MIB, perBlob: 4, inAll: 5 };

async function pull(t: TestContext, scene: SeederScene, blob: TestBlob): Promise<void> {
  const offer = await scene.ask(blob, { size: SIZE });
  const { peer, swarm } = await scene.leech('puller', blob, offer);
  await swarm.waitForComplete({ signal: t.signal });
  assert.deepEqual(await bytesOf(peer, blob), blob.bytes);
}

test('a large blob is read over several connections at once, a bounded number, and each byte once', async (t) => {
  const scene = await SeederScene.create(t, { ranges });
  const [one, two] = [scene.blob(SIZE), scene.blob(SIZE)];
  const held = [one, two].map(({ digest }) => scene.registry.hold(digest));
  await Promise.all([one, two].map((blob) => scene.ask(blob, { size: SIZE })));
  await Promise.all([scene.registry.received('GET', one.digest, 3), scene.registry.received('GET', two.digest, 3)]);
  const count = scene.gets(one).length + scene.gets(two).length;
  assert.equal(count, 7, 'two first ones and five more');
  for (const each of held) each.releaseAll();
  for (const [at, blob] of [one, two].entries()) {
    const { peer, swarm } = await scene.leech(`puller-${at}`, blob, await scene.ask(blob, { size: SIZE }));
    await swarm.waitForComplete({ signal: t.signal });
    assert.deepEqual(await bytesOf(peer, blob), blob.bytes);
    assert.equal(scene.registry.counts(blob.digest).bytesSent, SIZE);
    assert.equal(scene.gets(blob).length, 10);
  }
});

test('a blob is read over one connection if little is left of it, or nobody knows how long it is', async (t) => {
  const scene = await SeederScene.create(t, { ranges });
  const small = scene.blob(3 * MIB);
  await scene.ask(small, { size: 3 * MIB });
  const unknown = scene.blob(SIZE);
  await scene.ask(unknown);
  await scene.logged('ingest_finished', 2);
  assert.deepEqual(
    [small, unknown].flatMap((blob) => scene.gets(blob).map(({ range }) => range)),
    [undefined, undefined],
  );
});

for (const [what, fault] of [
  ['knows no ranges', { kind: 'ignore-range' }],
  ['says that a range is another', { kind: 'headers', headers: { 'content-range': `bytes 0-1048000/${SIZE}` } }],
] as const) {
  test(`a registry that ${what} sends the whole at once`, async (t) => {
    const scene = await SeederScene.create(t, { ranges });
    const blob = scene.blob(SIZE);
    scene.registry.fail(blob.digest, fault);
    await pull(t, scene, blob);
    assert.ok(scene.gets(blob).length <= 2);
  });
}

for (const [what, fault] of [
  ['refuses', { kind: 'status', status: 429, headers: { 'retry-after': '0' } }],
  ['cuts', { kind: 'cut', afterBytes: 300_000 }],
  ['resets', { kind: 'status', status: 500 }],
] as const) {
  test(`a registry that ${what} further connections goes on over one, and the blob comes out right`, async (t) => {
    const scene = await SeederScene.create(t, { ranges });
    const blob = scene.blob(SIZE);
    const held = scene.registry.hold(blob.digest);
    const asking = scene.ask(blob, { size: SIZE });
    await scene.registry.received('GET', blob.digest, 1);
    scene.registry.fail(blob.digest, fault, { times: 2 });
    await asking;
    await scene.registry.received('GET', blob.digest, 4);
    held.releaseAll();
    await pull(t, scene, blob);
    const sent = scene.registry.counts(blob.digest).bytesSent;
    assert.ok(sent <= SIZE + 2 * MIB, `${sent - SIZE} bytes more than one copy`);
  });
}

test('a body that is cut in the first range is gone on with, and the connections ahead are let go', async (t) => {
  const scene = await SeederScene.create(t, { ranges });
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'cut', afterBytes: 300_000 });
  await pull(t, scene, blob);
  // All places are free again: another blob gets its four.
  const other = scene.blob(SIZE);
  const held = scene.registry.hold(other.digest);
  await scene.ask(other, { size: SIZE });
  await scene.registry.received('GET', other.digest, 4);
  held.releaseAll();
  await scene.logged('ingest_finished', 2);
});

test('a false blob is withdrawn whatever connection brought the false byte', async (t) => {
  const scene = await SeederScene.create(t, { ranges });
  const blob = scene.blob(SIZE);
  const held = scene.registry.hold(blob.digest);
  const asking = scene.ask(blob, { size: SIZE });
  await scene.registry.received('GET', blob.digest, 1);
  scene.registry.fail(blob.digest, { kind: 'wrong-bytes' });
  await asking;
  held.releaseAll();
  await scene.logged('blob_withdrawn');
  await scene.logged('swarm_left');
  assert.equal((await scene.ask(blob)).kind, 'none');
  assert.equal(scene.peer.store.get(blob.swarmId), undefined);
});

test('a seeder that stops in the middle lets go of all connections', async (t) => {
  const scene = await SeederScene.create(t, { ranges });
  const blob = scene.blob(SIZE);
  const held = scene.registry.hold(blob.digest);
  await scene.ask(blob, { size: SIZE });
  await scene.registry.received('GET', blob.digest, 4);
  await scene.seeder.stop();
  await held.gone();
});
