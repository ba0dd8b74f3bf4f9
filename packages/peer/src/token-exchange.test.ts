import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '@sealift/core';
import type { TokenCheck } from './ports.ts';
import type { Session } from './session.ts';
import { TokenExchange } from './token-exchange.ts';

/** What an exchange reads of a session, under the test's control. */
function scene(change: Partial<Record<'phase' | 'isTokenDemanded' | 'isInterested', unknown>> = {}, hasCheck = true) {
  const session = {
    ...{ phase: 'open', isTokenDemanded: true, isInterested: true, swarmId: 's', claims: {}, mayReceive: true },
    ...change,
    proven: 0,
    proveToken: () => {
      session.proven += 1;
    },
  };
  const judged: string[] = [];
  const held: (() => void)[] = [];
  const check: TokenCheck = {
    tokenFor: () => 'own',
    verify: async (token) => {
      judged.push(token);
      await new Promise<void>((resolve) => void held.push(resolve));
      if (token !== 'good') throw new AppError('REGISTRY_TOKEN_REJECTED');
    },
    onChange: () => () => {},
  };
  const exchange = new TokenExchange({
    session: session as unknown as Session,
    check: hasCheck ? check : undefined,
    onProven: () => {},
    onRefused: () => {},
  });
  /** Lets the verification under way end. */
  const release = async (): Promise<void> => {
    held.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { session, exchange, judged, release };
}

test('a token is shown to an open peer that demands one and has what we want, and once', () => {
  const { exchange } = scene();
  assert.equal(exchange.news, 'own');
  exchange.noteShown('own');
  assert.equal(exchange.news, undefined);
  assert.equal(exchange.own, 'own', 'it goes with each later grant');
});

for (const change of [{ isTokenDemanded: false }, { isInterested: false }, { phase: 'grant' }, { phase: 'closed' }]) {
  test(`a token is not shown where ${JSON.stringify(change)}`, () =>
    assert.equal(scene(change).exchange.own, undefined));
}

test('without a check nothing is shown and nothing is judged', () => {
  const { exchange, judged } = scene({}, false);
  exchange.take('good');
  assert.equal(exchange.own, undefined);
  assert.deepEqual(judged, []);
});

test('one token is judged at a time, and of those that come meanwhile the last', async () => {
  const { exchange, judged, release, session } = scene();
  for (const token of ['first', 'second', 'good']) exchange.take(token);
  assert.deepEqual(judged, ['first']);
  await release();
  await release();
  assert.deepEqual(judged, ['first', 'good']);
  assert.equal(session.proven, 1);
  exchange.retry();
  assert.equal(judged.length, 2, 'what is proven is not judged again');
});

test('a refused token is judged again when a key was learnt', async () => {
  const { exchange, judged, release, session } = scene();
  exchange.take('bad');
  await release();
  exchange.retry();
  assert.deepEqual(judged, ['bad', 'bad']);
  await release();
  assert.equal(session.proven, 0);
});
