import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GRANT_TTL_MS, TRADE_MS, termsOfJoin, termsOfRefresh } from './grant-policy.ts';

const MINUTE = 60_000;
const now = 1_000 * MINUTE;
const notAfter = now + 60 * MINUTE;

test('a join gives a trade grant for a quarter of an hour', () => {
  assert.deepEqual(termsOfJoin({ now, authTime: now, notAfter }), { use: 'trade', expiresAt: now + GRANT_TTL_MS });
});

test('no grant outlives the certificate that it is bound to', () => {
  const soon = now + MINUTE;
  assert.equal(termsOfJoin({ now, authTime: now, notAfter: soon }).expiresAt, soon);
  assert.equal(termsOfRefresh({ use: 'trade', authTime: now }, { now, notAfter: soon }).expiresAt, soon);
  assert.equal(termsOfRefresh({ use: 'seed', authTime: now }, { now, notAfter: soon }).expiresAt, soon);
});

test('an hour after the proof, refreshing gives the right to upload only', () => {
  const refresh = (minutesAgo: number) =>
    termsOfRefresh({ use: 'trade', authTime: now - minutesAgo * MINUTE }, { now, notAfter });
  assert.deepEqual(refresh(10), { use: 'trade', expiresAt: now + GRANT_TTL_MS });
  assert.deepEqual(refresh(50), { use: 'trade', expiresAt: now - 50 * MINUTE + TRADE_MS });
  assert.deepEqual(refresh(60), { use: 'seed', expiresAt: now + GRANT_TTL_MS });
  assert.equal(refresh(600).use, 'seed');
});

test('a grant to upload never grows back into one to download', () => {
  assert.equal(termsOfRefresh({ use: 'seed', authTime: now }, { now, notAfter }).use, 'seed');
});
