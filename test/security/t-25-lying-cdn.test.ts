import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesOf, SeederScene } from '../../packages/peer/src/registry-seeder.fixture.ts';

const SIZE = 400_000;

const credential = async (scene: SeederScene) => ({
  authorization: `Bearer ${await scene.registry.tokens.issue({ repositories: ['team/app'] })}`,
});

test('T-25: the CDN sees no credential, and its false bytes are complete nowhere', async (t) => {
  const scene = await SeederScene.create(t, { auth: 'bearer', isRedirecting: true });
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'wrong-bytes' }, { at: 'cdn' });
  const offer = await scene.ask(blob, await credential(scene));
  await scene.logged('blob_withdrawn');
  assert.ok(offer.kind === 'swarm' || offer.kind === 'none');
  assert.equal(scene.peer.store.get(blob.swarmId)?.isComplete ?? false, false);
  const atCdn = scene.registry.requests.filter(({ at }) => at === 'cdn');
  assert.ok(atCdn.length > 0);
  for (const { headers } of atCdn) assert.equal(headers.authorization, undefined);
});

test('T-25: a CDN that cuts its answer short, or sends it with another length, does not make a blob shorter', async (t) => {
  const scene = await SeederScene.create(t, { auth: 'bearer', isRedirecting: true });
  const blob = scene.blob(SIZE);
  scene.registry.fail(blob.digest, { kind: 'cut', afterBytes: 150_000 }, { at: 'cdn' });
  const { peer, swarm } = await scene.leech('node', blob, await scene.ask(blob, await credential(scene)));
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  assert.ok((await bytesOf(peer, blob)).equals(blob.bytes));
});
