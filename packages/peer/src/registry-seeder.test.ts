import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { parseSwarmId } from '@sealift/core';
import { fetchToken, parseChallenge } from '@sealift/registry';
import { BlobReader } from '@sealift/store';
import { hashOf, pieceOf, type TestBlob } from './cluster.fixture.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { bytesOf, PIECE, SeederScene } from './registry-seeder.fixture.ts';

const SIZE = 4 * PIECE - 1_000;

/** Asks, joins, and waits until the node holds the whole blob. */
async function pull(
  t: TestContext,
  scene: SeederScene,
  blob: TestBlob,
  options: Parameters<SeederScene['ask']>[1] = {},
) {
  const { peer, swarm } = await scene.leech('puller', blob, await scene.ask(blob, options));
  await swarm.waitForComplete({ signal: t.signal });
  assert.deepEqual(await bytesOf(peer, blob), blob.bytes);
  return peer;
}

test('a node has verified pieces before the registry has sent the last byte, and one GET serves all who ask', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const held = scene.registry.hold(blob.digest);
  const offers = await Promise.all(Array.from({ length: 20 }, () => scene.ask(blob)));
  assert.ok(offers.every(({ kind }) => kind === 'swarm'));
  const { peer, swarm } = await scene.leech('early', blob, offers[0] as (typeof offers)[0]);
  await held.release(PIECE + 10_000);
  await swarm.waitForPiece(0, { signal: t.signal });
  assert.ok(scene.registry.counts(blob.digest).bytesSent < SIZE);
  assert.equal(swarm.isComplete, false);
  held.releaseAll();
  await swarm.waitForComplete({ signal: t.signal });
  assert.deepEqual(await bytesOf(peer, blob), blob.bytes);
  await scene.logged('ingest_finished');
  const late = await scene.ask(blob);
  assert.equal(late.kind === 'swarm' && late.batches.length, 1, 'the final list, in one batch');
  assert.equal(scene.registry.counts(blob.digest).gets, 1);
});

test('the first asker who goes away does not end the read for the others', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const gone = new AbortController();
  const first = scene.ask(blob, { signal: gone.signal });
  gone.abort();
  assert.equal((await first).kind, 'none');
  await pull(t, scene, blob);
  assert.equal((await scene.ask(blob, { signal: AbortSignal.abort() })).kind, 'none');
  assert.equal(scene.registry.counts(blob.digest).gets, 1);
});

for (const [auth, authorizationOf] of [
  ['anonymous', async () => undefined],
  ['basic', async () => `Basic ${Buffer.from('alice:open sesame').toString('base64')}`],
  [
    'bearer',
    async ({ registry }: SeederScene) => `Bearer ${await registry.tokens.issue({ repositories: ['team/app'] })}`,
  ],
] as const) {
  test(`a blob is read with the ${auth} credentials of the requester, and not without`, async (t) => {
    const scene = await SeederScene.create(t, { auth });
    scene.registry.tokens.addUser('alice', 'open sesame', ['team/app']);
    const blob = scene.blob(SIZE);
    const authorization = await authorizationOf(scene);
    if (authorization !== undefined)
      assert.deepEqual(await scene.ask(blob), { kind: 'none', reason: 'REGISTRY_REFUSED' });
    await pull(t, scene, blob, authorization === undefined ? {} : { authorization });
    assert.equal(scene.gets(blob).at(-1)?.authorization, authorization);
  });
}

test('an anonymous token reads a public blob', async (t) => {
  const scene = await SeederScene.create(t, { auth: 'bearer' });
  scene.registry.tokens.addPublicRepository('team/app');
  const challenge = parseChallenge(
    `Bearer realm="${scene.registry.realm}",service="${scene.registry.tokens.service}",scope="repository:team/app:pull"`,
  );
  assert.ok(challenge?.scheme === 'bearer');
  const token = await fetchToken({ challenge, caPem: scene.registry.caPem, signal: t.signal });
  await pull(t, scene, scene.blob(SIZE), { authorization: `Bearer ${token}` });
});

test('a redirect to a CDN is followed, and the CDN sees no credentials', async (t) => {
  const scene = await SeederScene.create(t, { auth: 'bearer', isRedirecting: true });
  const authorization = `Bearer ${await scene.registry.tokens.issue({ repositories: ['team/app'] })}`;
  await pull(t, scene, scene.blob(SIZE), { authorization });
  const atCdn = scene.registry.requests.filter(({ at }) => at === 'cdn');
  assert.equal(atCdn.length, 1);
  assert.equal(atCdn[0]?.headers.authorization, undefined);
});

test('a registry whose private CA is not known is not read', async (t) => {
  const scene = await SeederScene.create(t, { trustsRegistry: false });
  const blob = scene.blob(SIZE);
  assert.deepEqual(await scene.ask(blob), { kind: 'none', reason: 'REGISTRY_UNAVAILABLE' });
  assert.equal(scene.registry.requests.length, 0);
});

test('a body that is cut goes on where it ended, and the blob comes out right', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'cut', afterBytes: PIECE + 70_000 });
  await pull(t, scene, blob);
  const [first, second, ...more] = scene.gets(blob);
  assert.deepEqual([first?.range, more.length], [undefined, 0]);
  assert.match(second?.range ?? '', /^bytes=[1-9][0-9]*-$/);
});

test('a registry that gives no part of a blob is read from its start again', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'cut', afterBytes: 2 * PIECE + 70_000 });
  scene.registry.fail(blob.digest, { kind: 'ignore-range' });
  await pull(t, scene, blob);
  assert.deepEqual(
    scene.gets(blob).map(({ range }) => range === undefined),
    [true, false, true],
  );
});

test('credentials that end in the middle pause the read, and those of the next requester take it further', async (t) => {
  const scene = await SeederScene.create(t, { auth: 'bearer' });
  const blob = scene.blob(SIZE);
  const { tokens } = scene.registry;
  const [ending, refused, fresh] = await Promise.all(
    [['team/app'], ['other/app'], ['team/app']].map((repositories) => tokens.issue({ repositories })),
  );
  scene.registry.fail(blob.digest, { kind: 'cut', afterBytes: PIECE + 70_000 });
  scene.registry.fail(blob.digest, { kind: 'status', status: 401 });
  const offer = await scene.ask(blob, { authorization: `Bearer ${ending}` });
  const { peer, swarm } = await scene.leech('node', blob, offer);
  await swarm.waitForPiece(0, { signal: t.signal });
  await scene.logged('ingest_failed');
  assert.equal((await scene.ask(blob, { authorization: `Bearer ${refused}` })).kind, 'none');
  await scene.ask(blob, { authorization: `Bearer ${fresh}` });
  await swarm.waitForComplete({ signal: t.signal });
  assert.deepEqual(await bytesOf(peer, blob), blob.bytes);
  const last = scene.gets(blob).at(-1);
  assert.equal(last?.authorization, `Bearer ${fresh}`);
  assert.match(last?.range ?? '', /^bytes=[1-9][0-9]*-$/);
});

test('credentials that end in the middle are replaced by those of whoever asked last, and nobody has to ask again', async (t) => {
  const scene = await SeederScene.create(t, { auth: 'bearer' });
  const blob = scene.blob(SIZE);
  const held = scene.registry.hold(blob.digest);
  const [ending, fresh] = await Promise.all(
    [1, 2].map(() => scene.registry.tokens.issue({ repositories: ['team/app'] })),
  );
  scene.registry.fail(blob.digest, { kind: 'cut', afterBytes: PIECE + 70_000 });
  const offer = await scene.ask(blob, { authorization: `Bearer ${ending}` });
  const { peer, swarm } = await scene.leech('node', blob, offer);
  assert.equal((await scene.ask(blob, { authorization: `Bearer ${fresh}` })).kind, 'swarm');
  scene.registry.fail(blob.digest, { kind: 'status', status: 401 });
  held.releaseAll();
  await swarm.waitForComplete({ signal: t.signal });
  assert.deepEqual(await bytesOf(peer, blob), blob.bytes);
  assert.deepEqual(
    scene.gets(blob).map(({ authorization }) => authorization),
    [ending, ending, fresh].map((token) => `Bearer ${token}`),
  );
});

test('a registry that asks for a short wait gets it, before the first byte and within the blob', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const later = { kind: 'status', status: 429, headers: { 'retry-after': '0' } } as const;
  scene.registry.fail(blob.digest, later);
  scene.registry.fail(blob.digest, { kind: 'cut', afterBytes: PIECE + 70_000 });
  scene.registry.fail(blob.digest, { ...later, status: 503 });
  await pull(t, scene, blob);
  assert.equal(scene.gets(blob).length, 4);
});

test('a registry that asks for a long wait is left alone for a minute at most, and the nodes are told at once', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'status', status: 429, headers: { 'retry-after': '3600' } });
  assert.deepEqual(await scene.ask(blob), { kind: 'none', reason: 'REGISTRY_UNAVAILABLE' });
  assert.deepEqual(await scene.ask(blob), { kind: 'none', reason: 'the registry asks to come later' });
  assert.equal(scene.gets(blob).length, 1);
  scene.clock.offsetMs += 60_000;
  await pull(t, scene, blob);
});

test('a signed URL that has ended when a body breaks is asked for anew at the registry', async (t) => {
  const scene = await SeederScene.create(t, { isRedirecting: true });
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'cut', afterBytes: PIECE + 70_000 }, { at: 'cdn' });
  scene.registry.fail(blob.digest, { kind: 'status', status: 403 }, { at: 'cdn' });
  await pull(t, scene, blob);
  assert.equal(scene.gets(blob).length, 3);
});

test('a registry that cuts each body goes on being read as long as each brings a good part', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(7 * 1024 * 1024);
  scene.registry.fail(blob.digest, { kind: 'cut', afterBytes: 1024 * 1024 + 70_000 }, { times: 6 });
  await pull(t, scene, blob);
  assert.equal(scene.gets(blob).length, 7);
});

test('wrong bytes are withdrawn everywhere and kept nowhere, and the blob is not read again for a minute', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'wrong-bytes' });
  const held = scene.registry.hold(blob.digest);
  const { peer, swarm } = await scene.leech('node', blob, await scene.ask(blob));
  let received = 0;
  const reading = (async () => {
    for await (const chunk of new BlobReader(swarm).read({ start: 0, end: SIZE }, { signal: t.signal }))
      received += chunk.length;
  })();
  const failed = assert.rejects(reading, { code: 'SWARM_WITHDRAWN' });
  await held.release(2 * PIECE);
  await swarm.waitForPiece(1, { signal: t.signal });
  held.releaseAll();
  await failed;
  assert.ok(received > 0 && received <= 3 * PIECE, `${received} bytes, and not the last piece`);
  await scene.logged('swarm_left');
  await peer.engine.leave(blob.swarmId);
  await peer.engine.stop();
  assert.equal(peer.store.get(blob.swarmId), undefined);
  assert.equal(scene.peer.store.get(blob.swarmId), undefined);
  assert.equal((await scene.ask(blob)).kind, 'none');
  assert.equal(scene.registry.counts(blob.digest).gets, 1);
  scene.clock.offsetMs += 60_000;
  await pull(t, scene, blob);
});

test('a small blob with wrong bytes is not handed out', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(1_000);
  scene.registry.fail(blob.digest, { kind: 'wrong-bytes' });
  assert.equal((await scene.ask(blob)).kind, 'none');
  assert.equal((await scene.ask(blob)).kind, 'none');
  assert.equal(scene.registry.counts(blob.digest).gets, 1);
});

test('without a Content-Length the size of the HEAD counts, and without both nothing is offered', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'no-content-length' }, { times: 2 });
  assert.equal((await scene.ask(blob)).kind, 'none');
  await pull(t, scene, blob, { size: SIZE });
});

for (const [what, length] of [
  ['more', SIZE + 5_000],
  ['less', SIZE - 5_000],
] as const) {
  test(`a Content-Length of ${what} than the blob has is found out, and the next read is right`, async (t) => {
    const scene = await SeederScene.create(t);
    const blob = scene.blob(SIZE);
    scene.registry.fail(blob.digest, { kind: 'content-length', length });
    await scene.ask(blob);
    await scene.logged('swarm_left');
    assert.equal((await scene.ask(blob)).kind, 'none');
    scene.clock.offsetMs += 60_000;
    await pull(t, scene, blob);
  });
}

test('a size of the HEAD that is too small is found out', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'no-content-length' });
  await scene.ask(blob, { size: SIZE - 1 });
  await scene.logged('swarm_left');
  scene.clock.offsetMs += 60_000;
  await pull(t, scene, blob);
});

test('a store without room offers nothing, and lets go of the registry', async (t) => {
  const scene = await SeederScene.create(t, { quotaBytes: 2 * PIECE });
  const blob = scene.blob(SIZE);
  const held = scene.registry.hold(blob.digest);
  assert.deepEqual(await scene.ask(blob), { kind: 'none', reason: 'STORE_FULL' });
  await held.gone();
});

test('small blobs come inline, and cost one GET however many ask', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(64 * 1024);
  const offers = await Promise.all(Array.from({ length: 20 }, () => scene.ask(blob)));
  for (const offer of [...offers, await scene.ask(blob)]) {
    assert.ok(offer.kind === 'inline');
    assert.ok(blob.bytes.equals(offer.bytes));
  }
  assert.equal(scene.registry.counts(blob.digest).gets, 1);
});

test('more little blobs at once than may be read at once come inline all the same, for one GET each', async (t) => {
  const scene = await SeederScene.create(t);
  const blobs = Array.from({ length: 150 }, (_, index) => scene.blob(200 + index));
  const offers = await Promise.all([...blobs, ...blobs].map((blob) => scene.ask(blob)));
  assert.ok(offers.every(({ kind }) => kind === 'inline'));
  for (const { digest } of blobs) assert.equal(scene.registry.counts(digest).gets, 1);
});

test('a restarted seeder goes on from what its store holds', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const held = scene.registry.hold(blob.digest);
  await scene.ask(blob);
  await held.release(2 * PIECE + 1_000);
  await scene.peer.engine.swarm(blob.swarmId)?.waitForPiece(1, { signal: t.signal });
  const before = scene.peer.engine.swarm(blob.swarmId)?.hashes.list.startedAt ?? 0;
  await scene.boot();
  await held.gone();
  held.releaseAll();
  await pull(t, scene, blob);
  assert.deepEqual(
    scene.gets(blob).map(({ range }) => range),
    [undefined, `bytes=${2 * PIECE}-`],
  );
  assert.ok((scene.peer.engine.swarm(blob.swarmId)?.hashes.list.startedAt ?? 0) > before);
});

test('a seeder that died after the last piece needs nothing more from the registry', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const stored = await scene.peer.store.create(blob.request);
  for (let index = 0; index < 4; index += 1) await stored.writePiece(index, pieceOf(blob, index), hashOf(blob, index));
  await pull(t, scene, blob);
  assert.equal(scene.registry.counts(blob.digest).gets, 0);
  const [started] = await scene.logged('ingest_started');
  assert.equal(started?.['offset'], SIZE);
});

test('what an earlier process kept of a false blob does not survive its digest', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const stored = await scene.peer.store.create(blob.request);
  const lie = { ...blob, bytes: Buffer.alloc(SIZE) };
  await stored.writePiece(0, pieceOf(lie, 0), hashOf(lie, 0));
  await scene.ask(blob);
  await scene.logged('swarm_left');
  scene.clock.offsetMs += 60_000;
  await pull(t, scene, blob);
});

test('a complete blob whose signed list is lost is signed anew without a byte from the registry', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const stored = await scene.peer.store.create(blob.request);
  for (let index = 0; index < 4; index += 1) await stored.writePiece(index, pieceOf(blob, index), hashOf(blob, index));
  await stored.markComplete();
  await pull(t, scene, blob);
  assert.equal(scene.registry.counts(blob.digest).gets, 0);
});

test('a join wakes a blob that sleeps at the seeder, with its signed list and without the registry', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  const live = scene.peer.engine;
  await scene.ask(blob);
  await scene.logged('ingest_finished');
  scene.clock.offsetMs += DEFAULT_LIMITS.sleepAfterMs;
  while (live.stats.asleep === 0) await setImmediate();
  assert.ok(scene.seeder.isSeeding(blob.swarmId));
  const offer = await scene.ask(blob);
  assert.equal(offer.kind === 'swarm' && offer.batches.length, 1);
  assert.equal(live.stats.asleep, 0);
  await pull(t, scene, blob);
  assert.equal(scene.registry.counts(blob.digest).gets, 1);
});

test('the sums of a blob that sleeps are told, so that its swarm can be opened', async (t) => {
  const scene = await SeederScene.create(t);
  const blob = scene.blob(SIZE);
  await scene.ask(blob);
  await scene.logged('ingest_finished');
  scene.clock.offsetMs += DEFAULT_LIMITS.sleepAfterMs;
  while (scene.peer.engine.stats.asleep === 0) await setImmediate();
  const sums = await scene.seeder.pieceSums(blob.swarmId, { signal: t.signal });
  assert.equal(sums?.geometry.pieceCount, blob.geometry.pieceCount);
  scene.seeder.setPublic(blob.swarmId, parseSwarmId('ab'.repeat(20)), { intervalMs: 60_000 });
  assert.ok(scene.peer.engine.swarm(blob.swarmId)?.publicInfoHash);
});

test('a stopped seeder lets go of the registry and of its reads, and offers nothing', async (t) => {
  const scene = await SeederScene.create(t);
  const [one, two] = [scene.blob(SIZE), scene.blob(SIZE)];
  const held = [one, two].map(({ digest }) => scene.registry.hold(digest));
  await scene.ask(one);
  const opening = scene.ask(two);
  await scene.seeder.stop();
  await scene.seeder.stop();
  await Promise.all([opening, ...held.map((each) => each.gone())]);
  for (const blob of [one, two]) assert.notEqual(scene.peer.engine.swarm(blob.swarmId)?.isIngesting, true);
  assert.equal((await scene.ask(one)).kind, 'none');
});
