import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { buildCsr } from '@sealift/testkit';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

const cluster = new TestTracker({ limits: { enrol: { burst: 30, perSecond: 0 } } });
before(() => cluster.start());
after(() => cluster.stop());

const signal = (): AbortSignal => AbortSignal.timeout(10_000);
const refusedAs = (code: string) => (error: { code: string; details: { code?: string } }) => {
  assert.deepEqual([error.code, error.details.code], ['TRACKER_REFUSED', code]);
  return true;
};

async function enrol(joinToken: string): Promise<unknown> {
  const body = { csr: await buildCsr(), joinToken };
  return await cluster.client(cluster.agent()).enrol(body, { signal: signal() });
}

test('T-06: a token that is made up, spent, ended or revoked lets nobody in, and guessing comes at a rate only', async (t) => {
  const { joinTokens, nodes } = cluster.state;
  const spent = joinTokens.create({ isReusable: false, ttlMs: 60_000 }).token;
  await enrol(spent);
  const revoked = joinTokens.create({ isReusable: true, ttlMs: 60_000 });
  joinTokens.revoke(revoked.id);
  const ended = joinTokens.create({ isReusable: true, ttlMs: 60_000 }).token;
  const good = joinTokens.create({ isReusable: false, ttlMs: 600_000 }).token;
  const guess = `${good.slice(0, -1)}${good.endsWith('A') ? 'B' : 'A'}`;
  const before = nodes.count();
  const tokens = { spent, revoked: revoked.token, guess, 'with more behind it': `${good}x`, empty: 'slj_' };
  for (const [name, token] of Object.entries(tokens)) {
    await t.test(`a token that is ${name} is refused`, () =>
      assert.rejects(enrol(token), (error: { details: { code?: string } }) => {
        assert.match(String(error.details.code), /^(?:JOIN_TOKEN_REJECTED|INVALID_REQUEST)$/);
        return true;
      }),
    );
  }
  cluster.clock.offsetMs = 60_001;
  await assert.rejects(enrol(ended), refusedAs('JOIN_TOKEN_REJECTED'));
  cluster.clock.offsetMs = 0;
  assert.equal(nodes.count(), before);
  await t.test('a one-time token lets in one of many who use it at the same moment', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => enrol(good)));
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
  });
  await t.test('an address that guesses on is told to wait', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, () => enrol(guess)));
    const last = outcomes.at(-1) as PromiseRejectedResult;
    assert.ok(refusedAs('TOO_MANY_REQUESTS')(last.reason));
  });
});
