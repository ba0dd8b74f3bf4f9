import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import type { JoinRequest } from '@sealift/tracker-api';
import type { SeedOffer } from './ports.ts';
import { TestTracker } from './tracker.fixture.ts';

/** A tracker with a join that waits for the seeder. */
async function scene(t: TestContext) {
  const cluster = new TestTracker();
  await cluster.start();
  t.after(() => cluster.stop());
  const { registry, seeder } = cluster;
  const digest = registry.addBlob('team/app', Buffer.from('a layer'));
  const authorization = `Bearer ${await registry.tokens.issue({ repositories: ['team/app'] })}`;
  const wish: JoinRequest = { registry: registry.host, repository: 'team/app', digest, authorization, intent: 'pull' };
  const node = await cluster.enrol();
  const [asked, offer] = [Promise.withResolvers<void>(), Promise.withResolvers<SeedOffer>()];
  seeder.next = () => {
    asked.resolve();
    return offer.promise;
  };
  const running = node.client.join(wish, { signal: AbortSignal.timeout(20_000) });
  running.catch(() => {});
  await asked.promise;
  return { cluster, running, offer };
}

/** Waits until a stranger is let in no more. */
async function nobodyAnswers(origin: string): Promise<void> {
  const { hostname, port } = new URL(origin);
  for (;;) {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
    const isLetIn = await once(socket, 'secureConnect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (!isLetIn) return;
  }
}

test('a join that runs when the tracker is asked to end gets its answer', async (t) => {
  const { cluster, running, offer } = await scene(t);
  const stopping = cluster.tracker.stop();
  await nobodyAnswers(cluster.origin);
  offer.resolve({ kind: 'none', reason: 'nobody reads it' });
  assert.equal((await running).verdict, 'granted');
  await stopping;
});

test('a join that finds no end does not hold the tracker up for long', async (t) => {
  const { cluster, running } = await scene(t);
  await cluster.tracker.stop();
  await assert.rejects(running, { code: 'TRACKER_UNAVAILABLE' });
});
