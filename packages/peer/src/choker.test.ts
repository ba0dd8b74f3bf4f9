import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Choker, type ChokerPeer } from './choker.ts';

const ROUND_MS = 10_000;

function leecher(change: Partial<ChokerPeer> = {}): ChokerPeer {
  return { isInterested: true, mayReceive: true, missing: 10, given: 0, ...change };
}

function castOf(count: number, change: Partial<ChokerPeer> = {}): Map<string, ChokerPeer> {
  return new Map(Array.from({ length: count }, (_, index) => [`peer-${index}`, leecher(change)]));
}

test('all interested peers are served while there are slots for all', () => {
  const choker = new Choker<string>({ clock: { now: () => 0 }, roundMs: ROUND_MS });
  const peers = castOf(3).set('bored', leecher({ isInterested: false }));
  assert.deepEqual([...choker.decide(peers, 4)].sort(), ['peer-0', 'peer-1', 'peer-2']);
});

test('a peer that may only seed is never served', () => {
  const choker = new Choker<string>({ clock: { now: () => 0 }, roundMs: ROUND_MS });
  assert.equal(choker.decide(new Map([['seeder', leecher({ mayReceive: false })]]), 4).size, 0);
});

test('a slot is kept for a round, and then passes to those who wait', () => {
  let now = 0;
  const choker = new Choker<string>({ clock: { now: () => now }, roundMs: ROUND_MS });
  const first = choker.decide(castOf(6), 3);
  now = ROUND_MS - 1;
  assert.deepEqual(choker.decide(castOf(6), 3), first);
  now = ROUND_MS;
  const second = choker.decide(castOf(6), 3);
  assert.equal(
    [...second].some((peer) => first.has(peer)),
    false,
  );
  assert.equal(second.size, 3);
});

test('every waiting peer is served within a bounded number of rounds, however much others give', () => {
  let now = 0;
  const choker = new Choker<string>({ clock: { now: () => now }, roundMs: ROUND_MS });
  const peers = castOf(40);
  for (let index = 0; index < 8; index += 1) peers.set(`giver-${index}`, leecher({ given: 1e9, missing: 1000 }));
  const served = new Set<string>();
  for (let round = 0; round < 24; round += 1) {
    for (const peer of choker.decide(peers, 4)) served.add(peer);
    now += ROUND_MS;
  }
  assert.equal(served.size, 48);
});

test('of those who wait equally long, the ones who give most and lack most get the other half of the slots', () => {
  const choker = new Choker<string>({ clock: { now: () => 0 }, roundMs: ROUND_MS });
  const peers = castOf(6)
    .set('giver', leecher({ given: 100 }))
    .set('needy', leecher({ missing: 99 }));
  assert.deepEqual([...choker.decide(peers, 4)].sort(), ['giver', 'needy', 'peer-0', 'peer-1']);
});

test('fewer slots than peers served means that some lose theirs at once', () => {
  const choker = new Choker<string>({ clock: { now: () => 0 }, roundMs: ROUND_MS });
  assert.equal(choker.decide(castOf(8), 8).size, 8);
  assert.equal(choker.decide(castOf(8), 2).size, 2);
});
