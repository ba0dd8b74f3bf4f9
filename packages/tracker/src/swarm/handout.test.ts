import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Handout, type HandoutPeer } from './handout.ts';

interface Peer extends HandoutPeer {
  readonly name: number;
}

/** mulberry32: small, seeded, good enough to spread picks. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function peersOf(count: number, zoneOf: (name: number) => string | undefined = () => undefined): Peer[] {
  return Array.from({ length: count }, (_, name) => ({ name, zone: zoneOf(name) }));
}

test('as many different peers as wanted and possible come out, never the asker', () => {
  fc.assert(
    fc.property(
      fc.nat(60),
      fc.integer({ min: -2, max: 90 }),
      fc.nat(),
      fc.boolean(),
      (count, wanted, seed, hasZones) => {
        const peers = peersOf(count, (name) => (hasZones ? `zone-${name % 3}` : undefined));
        const asker = peers[seed % Math.max(1, count)];
        const picked = new Handout({ random: seededRandom(seed), maxPeers: 40 }).pick(peers, { wanted, asker });
        assert.equal(new Set(picked).size, picked.length);
        assert.ok(asker === undefined || !picked.includes(asker));
        assert.equal(picked.length, Math.max(0, Math.min(wanted, 40, count - (asker === undefined ? 0 : 1))));
      },
    ),
    { seed: 7, numRuns: 500 },
  );
});

test('every peer has about the same chance', () => {
  const peers = peersOf(100);
  const handout = new Handout({ random: seededRandom(1), maxPeers: 10 });
  const counts = new Array<number>(100).fill(0);
  for (let round = 0; round < 5_000; round += 1) {
    for (const { name } of handout.pick(peers, { wanted: 10 })) counts[name] = (counts[name] ?? 0) + 1;
  }
  // Expected 500 each, with a deviation of about 21.
  assert.ok(Math.min(...counts) > 390 && Math.max(...counts) < 610, `${Math.min(...counts)}..${Math.max(...counts)}`);
});

test('peers of the same zone come first and others are among them', () => {
  const peers = peersOf(400, (name) => `zone-${name % 4}`);
  const asker = peers[0];
  const handout = new Handout({ random: seededRandom(3), maxPeers: 40 });
  let near = 0;
  for (let round = 0; round < 100; round += 1) {
    const picked = handout.pick(peers, { wanted: 40, asker });
    assert.equal(picked.length, 40);
    const zones = picked.map(({ zone }) => zone === 'zone-0');
    near += zones.filter(Boolean).length;
    assert.ok(zones.includes(false));
    assert.equal(zones.lastIndexOf(true), zones.filter(Boolean).length - 1);
  }
  assert.ok(near / 100 > 25, `${near / 100} of 40`);
});
