import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSwarmId, type SwarmId } from '@sealift/core';
import { GrantKeeper, type RefreshGrants } from './grant-keeper.ts';

const A = parseSwarmId('a'.repeat(40));
const B = parseSwarmId('b'.repeat(40));
const MINUTE_MS = 60_000;

function keeperWith(refresh: RefreshGrants) {
  let now = 0;
  const keeper = new GrantKeeper({ clock: { now: () => now }, refresh });
  const changes: SwarmId[] = [];
  keeper.onChange((swarmId) => changes.push(swarmId));
  return { keeper, changes, setNow: (ms: number) => (now = ms) };
}

/** Resolves once the keeper has nothing under way: its work is promises only. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

test('a grant that has ended is not used', () => {
  const { keeper, setNow } = keeperWith(async () => []);
  keeper.put(A, { grant: 'one', expiresAt: 1_000 });
  assert.equal(keeper.grantFor(A), 'one');
  setNow(1_000);
  assert.equal(keeper.grantFor(A), undefined);
});

test('a grant whose right is revoked is forgotten, and others are kept', () => {
  const { keeper, changes } = keeperWith(async () => []);
  const grantOf = (repository: string): string => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const claims = { registry: 'registry.example', repository, digest, auth_time: 7 };
    return `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;
  };
  keeper.put(A, { grant: grantOf('team/app'), expiresAt: 1_000 });
  keeper.put(B, { grant: grantOf('team/other'), expiresAt: 1_000 });
  keeper.dropRevoked(({ repository, authTime }) => repository === 'team/app' && authTime === 7_000);
  assert.equal(keeper.grantFor(A), undefined);
  assert.equal(keeper.grantFor(B), grantOf('team/other'));
  assert.deepEqual(changes, [A, B, A]);
});

test('a grant is renewed five minutes before its end, and only then', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const asked: string[] = [];
  const { keeper, setNow, changes } = keeperWith(async (held) => {
    asked.push(...held.map(({ grant }) => grant));
    return held.map(() => ({ grant: 'two', expiresAt: 30 * MINUTE_MS }));
  });
  await keeper.start();
  keeper.put(A, { grant: 'one', expiresAt: 15 * MINUTE_MS });
  t.mock.timers.tick(15_000);
  await settled();
  assert.deepEqual(asked, []);
  setNow(11 * MINUTE_MS);
  t.mock.timers.tick(15_000);
  await settled();
  assert.deepEqual(asked, ['one']);
  assert.equal(keeper.grantFor(A), 'two');
  assert.deepEqual(changes, [A, A]);
  await keeper.stop();
});

test('a new certificate renews every grant, and one that the tracker does not renew is dropped', async () => {
  const { keeper } = keeperWith(async (held) =>
    held.map(({ swarmId }) => (swarmId === A ? { grant: 'new', expiresAt: MINUTE_MS } : undefined)),
  );
  keeper.put(A, { grant: 'one', expiresAt: MINUTE_MS });
  keeper.put(B, { grant: 'two', expiresAt: MINUTE_MS });
  keeper.refreshAll();
  await settled();
  assert.equal(keeper.grantFor(A), 'new');
  assert.equal(keeper.grantFor(B), undefined);
});

test('a grant that a join brought meanwhile is not replaced by an older answer', async () => {
  const answer = Promise.withResolvers<readonly undefined[]>();
  const { keeper } = keeperWith(() => answer.promise);
  keeper.put(A, { grant: 'old', expiresAt: MINUTE_MS });
  keeper.refreshAll();
  keeper.put(A, { grant: 'joined', expiresAt: MINUTE_MS });
  answer.resolve([undefined]);
  await settled();
  assert.equal(keeper.grantFor(A), 'joined');
});

test('when the tracker is away the old grants stay, and all are asked for again', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  let calls = 0;
  const { keeper } = keeperWith(async (held) => {
    calls += 1;
    if (calls === 1) throw new Error('away');
    return held.map(() => ({ grant: 'new', expiresAt: 20 * MINUTE_MS }));
  });
  await keeper.start();
  keeper.put(A, { grant: 'old', expiresAt: 10 * MINUTE_MS });
  keeper.refreshAll();
  await settled();
  assert.equal(keeper.grantFor(A), 'old');
  t.mock.timers.tick(15_000);
  await settled();
  assert.equal(keeper.grantFor(A), 'new');
  await keeper.stop();
});
