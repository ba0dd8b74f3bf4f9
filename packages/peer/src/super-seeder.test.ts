import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield, pieceGeometry } from '@sealift/core';
import { seededRandom } from './random.ts';
import { type Reveal, SuperSeeder } from './super-seeder.ts';

const PIECE = 128 * 1024;
const IDLE_MS = 500;

function newCast(pieceCount: number, names: readonly string[]) {
  let now = 0;
  const geometry = pieceGeometry(pieceCount * PIECE, PIECE);
  const seeder = new SuperSeeder<string>({ geometry, clock: { now: () => now }, idleMs: IDLE_MS });
  const pieces = new Map(names.map((name) => [name, new Bitfield(pieceCount)]));
  const known = new Map(names.map((name) => [name, new Set<number>()]));
  const note = (reveals: Reveal<string>[]) => {
    for (const { peer, index } of reveals) {
      assert.equal(known.get(peer)?.has(index), false, `piece ${index} told twice to ${peer}`);
      known.get(peer)?.add(index);
    }
    return reveals;
  };
  for (const [name, bitfield] of pieces) note(seeder.addPeer(name, bitfield));
  const gets = (name: string, index: number) => {
    assert.equal(pieces.get(name)?.add(index), true);
    return note(seeder.sawPiece(name, index));
  };
  return {
    seeder,
    pieces,
    known,
    note,
    gets,
    advance: (ms: number) => {
      now += ms;
    },
  };
}

test('each new piece is told to one peer only, evenly', () => {
  const { seeder, note, known } = newCast(9, ['a', 'b', 'c']);
  for (let index = 0; index < 9; index += 1) assert.equal(note(seeder.addPiece(index)).length, 1);
  assert.deepEqual(
    [...known.values()].map((told) => told.size),
    [3, 3, 3],
  );
});

test('one or two leechers are told everything at once', () => {
  const { seeder, note } = newCast(4, ['a', 'b']);
  assert.equal(note(seeder.addPiece(0)).length, 2);
});

test('a piece goes to others only after it was passed on', () => {
  const { seeder, note, gets } = newCast(4, ['a', 'b', 'c', 'd']);
  const [first] = note(seeder.addPiece(0));
  assert.ok(first);
  assert.deepEqual(gets(first.peer, 0), []);
  const [second, ...rest] = ['a', 'b', 'c', 'd'].filter((name) => name !== first.peer);
  assert.ok(second);
  assert.deepEqual(
    gets(second, 0)
      .map(({ peer, index }) => `${peer}${index}`)
      .sort(),
    rest.map((name) => `${name}0`),
  );
});

test('a peer that gets nothing from anybody is told more', () => {
  const { seeder, note, advance } = newCast(4, ['a', 'b', 'c']);
  const [first] = note(seeder.addPiece(0));
  advance(IDLE_MS);
  const told = note(seeder.tick()).map(({ peer }) => peer);
  assert.deepEqual(
    told.sort(),
    ['a', 'b', 'c'].filter((name) => name !== first?.peer),
  );
});

test('pieces leave in few at a time, and more while they are soon passed on', () => {
  const { seeder, note, gets, advance, known } = newCast(200, ['a', 'b', 'c', 'd']);
  const queue = Array.from({ length: 200 }, (_, index) => note(seeder.addPiece(index))).flat();
  const atFirst = queue.length;
  assert.ok(atFirst < 40, `${atFirst} of 200 pieces at once`);
  const serve = (count: number, ms: number) => {
    for (let served = 0; served < count; served += 1) {
      const { peer, index } = queue.shift() as Reveal<string>;
      advance(ms);
      queue.push(...gets(peer, index));
    }
  };
  serve(60, 1);
  assert.ok(queue.length > atFirst, `${queue.length} in flight on a fast uplink`);
  serve(75, 50);
  assert.ok(queue.length < atFirst, `${queue.length} in flight on a slow uplink`);
  const told = [...known.values()].flatMap((indexes) => [...indexes]);
  assert.equal(new Set(told).size, told.length, 'a piece was told twice while new ones were left');
});

test('a peer that takes its time does not keep the uplink from others', () => {
  const { seeder, note, advance, known } = newCast(200, ['a', 'b', 'c', 'd']);
  for (let index = 0; index < 200; index += 1) note(seeder.addPiece(index));
  const before = [...known.values()].reduce((sum, { size }) => sum + size, 0);
  advance(1_001);
  note(seeder.tick());
  assert.ok([...known.values()].reduce((sum, { size }) => sum + size, 0) > before);
});

test('what only a lost peer was told is offered to another', () => {
  const { seeder, note } = newCast(4, ['a', 'b', 'c', 'd']);
  const [first] = note(seeder.addPiece(0));
  assert.ok(first);
  const again = note(seeder.removePeer(first.peer));
  assert.deepEqual(
    again.map(({ index }) => index),
    [0],
  );
  assert.notEqual(again[0]?.peer, first.peer);
});

test('every leecher that is alone with the seeder finishes, and so do all of a trading swarm', () => {
  for (const [seed, peerCount, trades] of [
    [1, 1, false],
    [2, 5, false],
    [3, 5, true],
    [4, 30, true],
  ] as const) {
    const random = seededRandom(seed);
    const names = Array.from({ length: peerCount }, (_, index) => `peer-${index}`);
    const { seeder, pieces, known, gets, note, advance } = newCast(40, names);
    let steps = 0;
    for (let read = 0; ![...pieces.values()].every((held) => held.isFull); steps += 1) {
      assert.ok(steps < 2_000, `swarm ${seed} is stuck`);
      if (read < 40) note(seeder.addPiece(read++));
      for (const name of names) {
        const held = pieces.get(name);
        const offers = [...(known.get(name) ?? [])].filter((index) => held?.has(index) === false);
        const other = names[Math.floor(random() * names.length)] as string;
        const fromOther = pieces.get(other);
        const traded = Array.from({ length: 40 }, (_, index) => index).find(
          (index) => trades && fromOther?.has(index) && held?.has(index) === false,
        );
        const index = offers[0] ?? traded;
        if (index !== undefined) gets(name, index);
      }
      advance(100);
      note(seeder.tick());
    }
    assert.equal(seeder.isOver, true);
  }
});
