import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BencodeInput, encodeBencode, peerIdOf } from '@sealift/bittorrent';
import { parseNodeId } from '@sealift/core';
import fc from 'fast-check';
import { encodeAnnounce } from './announce-encoding.ts';

const peer = fc.record({
  nodeId: fc.integer({ min: 0, max: 999 }).map((number) => parseNodeId(`node-${number}`)),
  host: fc.oneof(fc.ipV4(), fc.ipV6()),
  port: fc.integer({ min: 1, max: 65_535 }),
});
const extras = fc.oneof(
  fc.constant({}),
  fc.record({ sl_deny_version: fc.nat() }),
  fc.record({ sl_deny: fc.array(fc.constantFrom('node-1', 'node-2')), sl_deny_version: fc.nat() }),
);

test('an answer is the one bencoded form of what it says, the first time and from then on', () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.nat(), fc.array(peer), extras, (interval, complete, incomplete, peers, more) => {
      const dictionaries = peers.map(
        ({ nodeId, host, port }) =>
          new Map<string, BencodeInput>(Object.entries({ 'peer id': peerIdOf(nodeId), ip: host, port })),
      );
      const entries = { interval, complete, incomplete, peers: dictionaries, ...more };
      const expected = encodeBencode(new Map<string, BencodeInput>(Object.entries(entries))).toString('latin1');
      for (let time = 0; time < 2; time += 1) {
        assert.equal(encodeAnnounce({ interval, complete, incomplete, peers, extras: more }), expected);
      }
    }),
    { seed: 1, numRuns: 300 },
  );
});
