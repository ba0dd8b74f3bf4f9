import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield, type NodeId } from '@sealift/core';
import { FakeClock, nodeIdOf } from '@sealift/testkit';
import { FarPieces } from './far-pieces.ts';

const PIECES = 64;
const SETTLE_MS = 300;
const LAST_STEP_MS = 8 * 50;

interface Peer {
  readonly nodeId: NodeId;
}

const peerOf = (name: string): Peer => ({ nodeId: nodeIdOf(name) });

function scene({ name = 'self', clock = new FakeClock(), isDialling = (): boolean => false } = {}) {
  const far = new FarPieces<Peer>({ pieceCount: PIECES, nodeId: nodeIdOf(name), clock, isDialling });
  const join = (peer: Peer, { isSeeder = false, has = [] as number[] } = {}): Bitfield => {
    const pieces = new Bitfield(PIECES);
    for (const index of has) pieces.add(index);
    far.add(peer, { nodeId: peer.nodeId, isSeeder });
    far.holds(peer, pieces);
    return pieces;
  };
  /** Long enough for every node of the zone to have had its chance. */
  const settle = () => {
    far.mayFetch(0);
    clock.advance(SETTLE_MS);
    for (let index = 0; index < PIECES; index += 1) far.mayFetch(index);
    clock.advance(LAST_STEP_MS);
  };
  return { far, clock, join, settle };
}

test('what a peer of the own zone has is not fetched from afar, until that peer is gone', () => {
  const { far, join, settle, clock } = scene();
  const [alice, bob] = [peerOf('alice'), peerOf('bob')];
  const pieces = join(alice, { has: [1] });
  join(bob, { has: [1] });
  settle();
  assert.equal(far.mayFetch(1), false);
  far.remove(bob);
  assert.equal(far.mayFetch(1), false);
  pieces.delete(1);
  far.lost(alice, 1);
  far.mayFetch(1);
  clock.advance(LAST_STEP_MS);
  assert.equal(far.mayFetch(1), true);
  pieces.add(1);
  far.gained(alice, 1);
  assert.equal(far.mayFetch(1), false);
  far.remove(alice);
  assert.equal(far.mayFetch(1), true);
});

test('beside a seeder of the own zone nothing is fetched from afar', () => {
  const { far, join, settle } = scene();
  const seeder = peerOf('seeder');
  join(seeder, { isSeeder: true });
  settle();
  assert.equal(far.mayFetch(5), false);
  assert.equal(far.wants(fullOf(PIECES), new Bitfield(PIECES)), false);
  far.remove(seeder);
  settle();
  assert.equal(far.mayFetch(0), true);
});

test('the first moment is left to the connections of the zone to come up', () => {
  const { far, clock } = scene();
  assert.equal(far.mayFetch(0), false);
  assert.equal(far.takeNextAt(), clock.now() + SETTLE_MS);
  assert.equal(far.takeNextAt(), Number.POSITIVE_INFINITY);
  clock.advance(SETTLE_MS - 1);
  assert.equal(far.mayFetch(0), false);
  clock.advance(1);
  assert.equal(far.mayFetch(0), true);
});

test('while dials are under way a node waits longer, but not for ever', () => {
  let isDialling = true;
  const busy = scene({ isDialling: () => isDialling });
  busy.far.mayFetch(0);
  busy.far.takeNextAt();
  busy.clock.advance(SETTLE_MS);
  assert.equal(busy.far.mayFetch(0), false);
  assert.ok(busy.far.takeNextAt() > busy.clock.now());
  isDialling = false;
  assert.equal(busy.far.mayFetch(0), true);
  const stuck = scene({ isDialling: () => true });
  stuck.far.mayFetch(0);
  stuck.clock.advance(2_000);
  assert.equal(stuck.far.mayFetch(0), true);
});

test('of the nodes of a zone one and only one comes first for each piece, and all get their share', () => {
  const clock = new FakeClock();
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const firsts = new Array<number>(names.length).fill(0);
  const others = names.map((name, at) => {
    const { far, join } = scene({ name, clock });
    for (const other of names) if (other !== name) join(peerOf(other));
    return { at, far };
  });
  for (let index = 0; index < PIECES; index += 1) for (const { far } of others) far.mayFetch(index);
  clock.advance(SETTLE_MS);
  for (let index = 0; index < PIECES; index += 1) {
    const first = others.filter(({ far }) => far.mayFetch(index));
    assert.equal(first.length, 1, `${first.length} nodes fetch piece ${index}`);
    firsts[first[0]?.at ?? -1] = (firsts[first[0]?.at ?? -1] ?? 0) + 1;
  }
  assert.ok(Math.max(...firsts) <= 20 && firsts.filter((count) => count > 0).length >= 7, `${firsts}`);
});

test('a node that comes later in the order takes a piece that those before it leave', () => {
  const { far, join, clock } = scene();
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j']) join(peerOf(name));
  for (let index = 0; index < PIECES; index += 1) far.mayFetch(index);
  clock.advance(SETTLE_MS);
  const countOpen = () => Array.from({ length: PIECES }, (_, index) => far.mayFetch(index)).filter(Boolean).length;
  const atFirst = countOpen();
  assert.ok(atFirst > 0 && atFirst < PIECES / 2, `${atFirst}`);
  clock.advance(LAST_STEP_MS);
  assert.equal(countOpen(), PIECES);
});

test('what a peer of the zone says it is fetching is left to it, as long as it repeats it', () => {
  const { far, join, settle, clock } = scene();
  const [alice, stranger] = [peerOf('alice'), peerOf('stranger')];
  join(alice);
  settle();
  far.mayFetch(3);
  clock.advance(LAST_STEP_MS);
  far.claimed(stranger, [3]);
  assert.equal(far.mayFetch(3), true);
  far.claimed(alice, [3]);
  assert.equal(far.mayFetch(3), false);
  clock.advance(4_000);
  far.claimed(alice, [3]);
  clock.advance(4_000);
  assert.equal(far.mayFetch(3), false);
  clock.advance(1_000);
  assert.equal(far.mayFetch(3), true);
});

test('a claim falls with the peer that made it, and a peer that claims without end is not believed for ever', () => {
  const { far, join, settle, clock } = scene();
  const [alice, mallory] = [peerOf('alice'), peerOf('mallory')];
  join(alice);
  join(mallory);
  settle();
  far.mayFetch(3);
  far.mayFetch(4);
  clock.advance(LAST_STEP_MS);
  far.claimed(alice, [3]);
  far.remove(alice);
  assert.equal(far.mayFetch(3), true);
  for (let passedMs = 0; passedMs < 60_000; passedMs += 2_000) {
    far.claimed(mallory, [4]);
    assert.equal(far.mayFetch(4), false);
    clock.advance(2_000);
  }
  far.claimed(mallory, [4]);
  assert.equal(far.mayFetch(4), true);
});

test('of two that fetch the same piece the one that comes first goes on, and the other leaves it', () => {
  const clock = new FakeClock();
  const [alice, bob] = [scene({ name: 'alice', clock }), scene({ name: 'bob', clock })];
  const [toAlice, toBob] = [peerOf('bob'), peerOf('alice')];
  alice.join(toAlice);
  bob.join(toBob);
  for (let index = 0; index < PIECES; index += 1) {
    alice.far.begin([index]);
    bob.far.begin([index]);
    const left = [alice.far.claimed(toAlice, [index]), bob.far.claimed(toBob, [index])];
    assert.deepEqual(left.flat(), [index]);
    assert.equal(alice.far.own.includes(index), !bob.far.own.includes(index));
  }
});

test('our own claims are told once, repeated while they last, and gone with the piece', () => {
  const { far, clock, settle } = scene();
  settle();
  assert.deepEqual(far.begin([1, 2]), [1, 2]);
  assert.deepEqual(far.begin([2, 3]), [3]);
  assert.deepEqual(far.own, [1, 2, 3]);
  assert.deepEqual(
    far.repeats(() => true),
    [],
  );
  clock.advance(2_000);
  far.obtained(1);
  assert.deepEqual(
    far.repeats((index) => index !== 2),
    [3],
  );
  assert.deepEqual(far.own, [3]);
});

test('a far peer is of interest only if it has what the zone lacks and we do not hold', () => {
  const { far, join } = scene();
  join(peerOf('alice'), { has: [0, 1] });
  const held = new Bitfield(PIECES);
  const pieces = new Bitfield(PIECES);
  pieces.add(1);
  assert.equal(far.wants(pieces, held), false);
  pieces.add(2);
  assert.equal(far.wants(pieces, held), true);
  held.add(2);
  assert.equal(far.wants(pieces, held), false);
});

function fullOf(length: number): Bitfield {
  const pieces = new Bitfield(length);
  for (let index = 0; index < length; index += 1) pieces.add(index);
  return pieces;
}
