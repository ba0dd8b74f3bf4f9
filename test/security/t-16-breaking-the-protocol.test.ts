import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMessage } from '@sealift/bittorrent';
import { BLOCK_LENGTH } from '@sealift/core';
import type { TestBlob } from '../../packages/peer/src/cluster.fixture.ts';
import { extendedOf, type RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';
import { assertServes, FIRST_BLOCK, mallory, setScene } from './mallory.ts';

/** Each is what a peer with every right does wrong once the session is open. */
const abuses: Record<string, (peer: RawPeer, blob: TestBlob) => void> = {
  'a frame above the limit': (peer) => peer.write(Buffer.from('7fffffff', 'hex'), Buffer.alloc(1_000)),
  'a length whose sign bit is set': (peer) => peer.write(Buffer.from('80000000', 'hex')),
  'a request above 16 KiB': (peer) => peer.write(Buffer.from('0000000d06000000000000000000008000', 'hex')),
  'a request beyond the end of its piece': (peer, { geometry }) =>
    peer.send({ type: 'have-none' }, { type: 'request', index: 0, begin: geometry.pieceLength, length: BLOCK_LENGTH }),
  'a request for a piece that does not exist': (peer) =>
    peer.send({ type: 'have-none' }, { type: 'request', index: 4_000_000_000, begin: 0, length: BLOCK_LENGTH }),
  'a request before its bitfield': (peer) => peer.write(FIRST_BLOCK),
  'a second bitfield': (peer) => peer.send({ type: 'have-none' }, { type: 'have-none' }),
  'a bitfield of a wrong length': (peer) => peer.send({ type: 'bitfield', bytes: new Uint8Array(64) }),
  'a bitfield with a spare bit': (peer) => peer.send({ type: 'bitfield', bytes: Uint8Array.of(0x0f) }),
  'a have of a piece that does not exist': (peer) => peer.send({ type: 'have-none' }, { type: 'have', index: 4 }),
  'a block that nobody asked for': (peer) =>
    peer.send({ type: 'have-all' }, { type: 'piece', index: 0, begin: 0, block: new Uint8Array(BLOCK_LENGTH) }),
  'a reject of nothing': (peer) =>
    peer.send({ type: 'have-none' }, { type: 'reject', index: 0, begin: 0, length: BLOCK_LENGTH }),
  'hashes that nobody signed': (peer) => peer.send({ type: 'extended', id: 1, payload: new Uint8Array(177) }),
  'progress of a wrong length': (peer) => peer.send({ type: 'extended', id: 2, payload: new Uint8Array(7) }),
  'an extended message that does not exist': (peer) =>
    peer.send({ type: 'extended', id: 9, payload: new Uint8Array(7) }),
  'a new grant that is none': (peer) => peer.write(extendedOf('a.b.c')),
  'an extended handshake without a grant': (peer) => peer.write(extendedOf(undefined)),
  'more requests than are queued': (peer) => {
    const requests = Array.from({ length: 2_600 }, () => FIRST_BLOCK);
    peer.write(encodeMessage({ type: 'have-none' }), encodeMessage({ type: 'interested' }), ...requests);
  },
  'a flood of messages to no purpose': (peer) => {
    peer.send({ type: 'have-none' }, ...Array.from({ length: 2_100 }, () => ({ type: 'suggest', index: 0 }) as const));
  },
};

test('T-16: a peer with every right that breaks the rules is cut off, gets no block and harms nobody', async (t) => {
  const scene = await setScene(t);
  for (const [name, abuse] of Object.entries(abuses)) {
    await t.test(`${name} ends the connection`, async () => {
      const peer = await scene.dial();
      peer.greet(scene.blob.swarmId, mallory, await scene.mint());
      await peer.opened();
      abuse(peer, scene.blob);
      await peer.closed;
      assert.equal(peer.payloadBytes, 0);
    });
  }
  await assertServes(scene);
});
