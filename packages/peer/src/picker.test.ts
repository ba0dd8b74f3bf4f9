import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bitfield } from '@sealift/core';
import fc from 'fast-check';
import { Picker } from './picker.ts';
import { seededRandom } from './random.ts';

/** Never biased to the reader, so that only rarity decides. */
function unbiased(seed: number) {
  const random = seededRandom(seed);
  return () => 0.1 + 0.9 * random();
}

function bitfieldOf(length: number, indexes: Iterable<number>): Bitfield {
  const bitfield = new Bitfield(length);
  for (const index of indexes) bitfield.add(index);
  return bitfield;
}

const range = (length: number) => Array.from({ length }, (_, index) => index);

test('the rarest piece that the peer has is picked first', () => {
  const picker = new Picker({ pieceCount: 4, random: unbiased(1) });
  for (const index of range(4)) picker.want(index);
  const peer = picker.addPeer(bitfieldOf(4, [0, 1, 2]));
  picker.addPeer(bitfieldOf(4, [0, 1]));
  picker.addPeer(bitfieldOf(4, [0, 3]));
  assert.deepEqual([picker.pick(peer), picker.pick(peer), picker.pick(peer), picker.pick(peer)], [2, 1, 0, undefined]);
});

test('equally rare pieces are picked in an order that the seed decides', () => {
  const orderOf = (seed: number) => {
    const picker = new Picker({ pieceCount: 64, random: unbiased(seed) });
    for (const index of range(64)) picker.want(index);
    const peer = picker.addPeer(bitfieldOf(64, range(64)));
    return range(64).map(() => picker.pick(peer));
  };
  assert.deepEqual(orderOf(7), orderOf(7));
  assert.notDeepEqual(orderOf(7), orderOf(8));
  assert.deepEqual(new Set(orderOf(7)), new Set(range(64)));
});

test('a piece without a known hash is not picked', () => {
  const picker = new Picker({ pieceCount: 2, random: unbiased(1) });
  const peer = picker.addPeer(bitfieldOf(2, [0, 1]));
  assert.equal(picker.pick(peer), undefined);
  picker.want(1);
  assert.deepEqual([picker.pick(peer), picker.pick(peer)], [1, undefined]);
});

test('some picks go to the earliest missing piece after the reader', () => {
  const picker = new Picker({ pieceCount: 1000, random: seededRandom(3) });
  for (const index of range(1000)) picker.want(index);
  const peer = picker.addPeer(bitfieldOf(1000, range(1000)));
  picker.setReadPosition(500);
  const picked = range(100).map(() => picker.pick(peer) ?? -1);
  const near = picked.filter((index) => index >= 500 && index < 520).length;
  assert.ok(near >= 4 && near <= 25, `${near} of 100 picks near the reader`);
});

test('who is alone picks in the order of the reader', () => {
  const picker = new Picker({ pieceCount: 64, random: unbiased(3) });
  for (const index of range(64)) picker.want(index);
  const peer = picker.addPeer(bitfieldOf(64, range(64)));
  picker.setReadPosition(60);
  picker.isAlone = true;
  assert.deepEqual([picker.pick(peer), picker.pick(peer)], [60, 61]);
  picker.isAlone = false;
  const others = range(60).map(() => picker.pick(peer) ?? -1);
  assert.notDeepEqual(
    others,
    others.toSorted((a, b) => a - b),
  );
});

test('a piece whose download came to nothing can be picked again', () => {
  const picker = new Picker({ pieceCount: 1, random: unbiased(1) });
  picker.want(0);
  const peer = picker.addPeer(bitfieldOf(1, [0]));
  assert.equal(picker.pick(peer), 0);
  assert.equal(picker.pick(peer), undefined);
  picker.want(0);
  assert.equal(picker.pick(peer), 0);
});

test('picks agree with a plain model, whatever peers and pieces come and go', () => {
  const pieceCount = 24;
  const index = fc.nat(pieceCount - 1);
  const step = fc.oneof(
    fc.record({ do: fc.constant('want' as const), index }),
    fc.record({ do: fc.constant('unwant' as const), index }),
    fc.record({ do: fc.constant('add' as const), pieces: fc.uniqueArray(index), isFull: fc.boolean() }),
    fc.record({ do: fc.constant('leave' as const), peer: fc.nat(9) }),
    fc.record({ do: fc.constant('gain' as const), peer: fc.nat(9), index }),
    fc.record({ do: fc.constant('pick' as const), peer: fc.nat(9) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer(), (steps, seed) => {
      const picker = new Picker({ pieceCount, random: unbiased(seed) });
      const wanted = new Set<number>();
      const peers: { handle: ReturnType<Picker['addPeer']>; pieces: Set<number> }[] = [];
      const availability = (piece: number) => peers.filter((peer) => peer.pieces.has(piece)).length;
      for (const action of steps) {
        if (action.do === 'want') {
          picker.want(action.index);
          wanted.add(action.index);
        } else if (action.do === 'unwant') {
          picker.unwant(action.index);
          wanted.delete(action.index);
        } else if (action.do === 'add') {
          const pieces = action.isFull ? range(pieceCount) : action.pieces;
          peers.push({ handle: picker.addPeer(bitfieldOf(pieceCount, pieces)), pieces: new Set(pieces) });
        } else {
          const peer = peers[action.peer % Math.max(1, peers.length)];
          if (peer === undefined) continue;
          if (action.do === 'leave') {
            picker.removePeer(peer.handle);
            peers.splice(peers.indexOf(peer), 1);
          } else if (action.do === 'gain') {
            assert.equal(picker.gained(peer.handle, action.index), !peer.pieces.has(action.index));
            peer.pieces.add(action.index);
          } else {
            const options = [...wanted].filter((piece) => peer.pieces.has(piece));
            const picked = picker.pick(peer.handle);
            if (options.length === 0) assert.equal(picked, undefined);
            else {
              assert.ok(picked !== undefined && options.includes(picked));
              assert.equal(availability(picked), Math.min(...options.map(availability)));
              wanted.delete(picked);
            }
          }
        }
        assert.equal(picker.candidateCount, wanted.size);
      }
    }),
    { seed: 20_240_601, numRuns: 300 },
  );
});
