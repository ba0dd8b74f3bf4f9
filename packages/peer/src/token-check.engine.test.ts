import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AppError, createLogger, type SwarmId, systemClock } from '@sealift/core';
import type { GrantClaims } from '@sealift/tracker-api';
import { type TestBlob, TestCluster, type TestPeer } from './cluster.fixture.ts';
import type { TokenCheck } from './ports.ts';

/** A check whose tokens and judgement are the test's. */
class FakeTokenCheck implements TokenCheck {
  readonly #listeners = new Set<() => void>();
  readonly judged: string[] = [];
  #token: string | undefined;
  #good: string | undefined;

  constructor({ token, good }: { token?: string; good?: string } = {}) {
    this.#token = token;
    this.#good = good;
  }

  tokenFor(_swarmId: SwarmId): string | undefined {
    return this.#token;
  }

  async verify(token: string, claims: GrantClaims): Promise<void> {
    this.judged.push(`${token} for ${claims.repository}`);
    if (token !== this.#good) throw new AppError('REGISTRY_TOKEN_REJECTED');
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change({ token = this.#token, good = this.#good }: { token?: string | undefined; good?: string | undefined }): void {
    this.#token = token;
    this.#good = good;
    for (const listener of this.#listeners) listener();
  }
}

const GOOD = 'a.good.token';
const judging = `${GOOD} for team/app`;

/** A seeder that demands a token, and a leecher that does as the test says. */
async function scene(t: TestContext, { demanding, showing }: { demanding?: FakeTokenCheck; showing?: FakeTokenCheck }) {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line), level: 'debug', clock: systemClock });
  await cluster.seeder(blob, { log, tokenCheck: demanding });
  const leecher = await cluster.peer('leecher', { tokenCheck: showing });
  await leecher.grant(blob);
  const swarm = await leecher.engine.download({ ...blob.request, batches: cluster.batches(blob) });
  const release = swarm.acquire();
  t.after(release);
  /** Resolves when the seeder has logged an event. */
  const logged = async (event: string): Promise<void> => {
    while (!lines.some((line) => line.includes(`"${event}"`))) await new Promise((resolve) => setImmediate(resolve));
  };
  return { cluster, blob, leecher, swarm, lines, logged };
}

async function assertHasAll(leecher: TestPeer, blob: TestBlob): Promise<void> {
  const stored = leecher.store.get(blob.swarmId);
  const bytes = Buffer.alloc(blob.geometry.size);
  await stored?.read(0, bytes);
  assert.deepEqual(bytes, blob.bytes);
}

test('a peer that shows a good token is served, and the token is judged for the repository of its grant', async (t) => {
  const demanding = new FakeTokenCheck({ good: GOOD });
  const { leecher, swarm, blob, lines } = await scene(t, { demanding, showing: new FakeTokenCheck({ token: GOOD }) });
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  await assertHasAll(leecher, blob);
  assert.deepEqual(new Set(demanding.judged), new Set([judging]));
  assert.ok(!lines.some((line) => line.includes(GOOD)), 'no token in the log');
});

for (const [what, showing] of [
  ['that is not set to show tokens', undefined],
  ['that has none', new FakeTokenCheck()],
] as const) {
  test(`a peer ${what} connects and gets nothing`, async (t) => {
    const { swarm, leecher, logged } = await scene(t, {
      demanding: new FakeTokenCheck({ good: GOOD }),
      ...(showing === undefined ? {} : { showing }),
    });
    await logged('peer_connected');
    await assert.rejects(swarm.waitForPiece(0, { signal: AbortSignal.timeout(1_500) }));
    assert.equal(leecher.engine.stats.bytesFromPeers, 0);
  });
}

test('a refused token gives nothing, until a key is learnt by which it is good', async (t) => {
  const demanding = new FakeTokenCheck();
  const { swarm, leecher, logged } = await scene(t, { demanding, showing: new FakeTokenCheck({ token: GOOD }) });
  await logged('peer_refused');
  assert.equal(leecher.engine.stats.bytesFromPeers, 0);
  demanding.change({ good: GOOD });
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
});

test('a token that comes later is shown on the open connection', async (t) => {
  const showing = new FakeTokenCheck({ token: 'an.old.token' });
  const demanding = new FakeTokenCheck({ good: GOOD });
  const { swarm, logged } = await scene(t, { demanding, showing });
  await logged('peer_refused');
  showing.change({ token: GOOD });
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
});

test('a token is shown to nobody who does not demand it', async (t) => {
  const { swarm, cluster, blob, leecher } = await scene(t, { showing: new FakeTokenCheck({ token: GOOD }) });
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  // Nor to one who demands it and has nothing to give.
  const empty = new FakeTokenCheck({ good: GOOD, token: 'b.good.token' });
  const other = await cluster.peer('other', { tokenCheck: empty });
  await other.grant(blob);
  await other.engine.download({ ...blob.request, batches: cluster.batches(blob) });
  await other.engine
    .swarm(blob.swarmId)
    ?.waitForPiece(0, { signal: AbortSignal.timeout(1_000) })
    .catch(() => {});
  assert.deepEqual(empty.judged, []);
  assert.equal(leecher.engine.swarm(blob.swarmId), swarm);
});
