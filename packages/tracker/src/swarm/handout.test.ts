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

/** The zone of a peer, with its gateways. */
function zoneOf(peers: readonly Peer[], zone: string | undefined, gatewayCount: number) {
  const all = peers.filter((peer) => peer.zone === zone);
  return { all, gateways: new Set(all.slice(0, gatewayCount)) };
}

test('as many different peers as wanted and possible come out, never the asker', () => {
  fc.assert(
    fc.property(fc.nat(60), fc.integer({ min: -2, max: 90 }), fc.nat(), (count, wanted, seed) => {
      const peers = peersOf(count);
      const asker = peers[seed % Math.max(1, count)];
      const picked = new Handout({ random: seededRandom(seed), maxPeers: 40 }).pick(peers, { wanted, asker });
      assert.equal(new Set(picked).size, picked.length);
      assert.ok(asker === undefined || !picked.includes(asker));
      assert.equal(picked.length, Math.max(0, Math.min(wanted, 40, count - (asker === undefined ? 0 : 1))));
    }),
    { seed: 7, numRuns: 500 },
  );
});

test('with zones the peers are different too, no more than wanted, never the asker, and far ones for gateways only', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 90 }),
      fc.nat(),
      fc.nat(8),
      (count, wanted, seed, gatewayCount) => {
        const peers = peersOf(count, (name) => `zone-${name % 3}`);
        const asker = peers[seed % count] as Peer;
        const zone = zoneOf(peers, asker.zone, gatewayCount);
        const handout = new Handout({ random: seededRandom(seed), maxPeers: 40 });
        const picked = handout.pick(peers, { wanted, asker, zone });
        assert.equal(new Set(picked).size, picked.length);
        assert.ok(!picked.includes(asker) && picked.length <= Math.min(wanted, 40));
        const far = picked.filter((peer) => peer.zone !== asker.zone).length;
        assert.ok(far <= (zone.gateways.has(asker) ? 4 : 0), `${far}`);
        if (!zone.gateways.has(asker)) assert.equal(picked.length, Math.min(wanted, 40, zone.all.length - 1));
      },
    ),
    { seed: 8, numRuns: 500 },
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

test('a gateway gets the other gateways of its zone first, others of its zone, and a few of other zones', () => {
  const peers = peersOf(400, (name) => `zone-${name % 4}`);
  const zone = zoneOf(peers, 'zone-0', 8);
  const [asker] = zone.gateways;
  const picked = new Handout({ random: seededRandom(3), maxPeers: 40 }).pick(peers, { wanted: 40, asker, zone });
  assert.equal(picked.length, 40);
  assert.deepEqual(new Set(picked.slice(0, 7)), new Set([...zone.gateways].slice(1)));
  assert.equal(picked.filter((peer) => peer.zone === 'zone-0').length, 36);
});

test('a gateway that is alone in its zone gets peers of other zones', () => {
  const peers = peersOf(20, (name) => (name === 0 ? 'alone' : 'zone-1'));
  const zone = zoneOf(peers, 'alone', 8);
  const picked = new Handout({ random: seededRandom(3), maxPeers: 40 }).pick(peers, {
    wanted: 40,
    asker: peers[0],
    zone,
  });
  assert.equal(picked.length, 4);
});
