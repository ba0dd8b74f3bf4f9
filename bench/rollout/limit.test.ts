import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type LinkRates, lateLimitSeconds, limitSeconds } from './limit.ts';

const even: LinkRates = { registryUp: 100, seederUp: 100, peerUp: 100, peerDown: 100 };

test('the narrowest link sets the limit', () => {
  assert.equal(limitSeconds(1000, 4, { ...even, registryUp: 50 }), 20);
  assert.equal(limitSeconds(1000, 4, { ...even, seederUp: 25 }), 40);
  assert.equal(limitSeconds(1000, 4, { ...even, peerDown: 10 }), 100);
});

test('all uplinks together set it where the nodes send less than they receive', () => {
  assert.equal(limitSeconds(1000, 9, { ...even, peerUp: 100 / 9 }), 9000 / 200);
});

test('one node alone has no other uplink to wait for', () => {
  assert.equal(limitSeconds(1000, 1, { ...even, peerUp: 1 }), 10);
});

test('who comes late has the uplinks of all who were there', () => {
  assert.equal(lateLimitSeconds(1000, 3, { ...even, seederUp: 10, peerUp: 10 }), 25);
  assert.equal(lateLimitSeconds(1000, 30, { ...even, seederUp: 10, peerUp: 10 }), 10);
});
