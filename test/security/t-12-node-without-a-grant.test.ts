import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodeIdOf } from '@sealift/testkit';
import { extendedOf, handshakeOf, type RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';
import { FIRST_BLOCK, mallory, type Scene, setScene } from './mallory.ts';

/** Each is an honest greeting but for one point, so it can fail for one reason only. */
const greetings: Record<string, (scene: Scene, peer: RawPeer) => Promise<void>> = {
  'no grant': async ({ blob }, peer) => peer.greet(blob.swarmId, mallory, undefined),
  'a grant that has ended': async ({ blob, mint }, peer) => {
    peer.greet(blob.swarmId, mallory, await mint({ expiresAt: Date.now() - 5_000 }));
  },
  'a grant for another swarm': async ({ cluster, blob, mint }, peer) => {
    peer.greet(blob.swarmId, mallory, await mint({}, cluster.blob(3, { seed: 2 })));
  },
  'a grant of another node': async ({ blob, mint }, peer) => {
    peer.greet(blob.swarmId, mallory, await mint({ nodeId: nodeIdOf('alice') }));
  },
  'a grant that is bound to another certificate': async ({ blob, mint }, peer) => {
    peer.greet(blob.swarmId, mallory, await mint({ x5tS256: 'A'.repeat(43) }));
  },
  'a grant with a broken signature': async ({ blob, mint }, peer) => {
    const grant = await mint();
    const flipped = grant.at(-10) === 'A' ? 'B' : 'A';
    peer.greet(blob.swarmId, mallory, `${grant.slice(0, -10)}${flipped}${grant.slice(-9)}`);
  },
  'a swarm that is not joined here': async ({ cluster, mint }, peer) => {
    const other = cluster.blob(3, { seed: 2 });
    peer.greet(other.swarmId, mallory, await mint({}, other));
  },
  'the peer id of another node': async ({ blob, mint }, peer) => {
    peer.greet(blob.swarmId, nodeIdOf('alice'), await mint());
  },
  'a request in place of the grant': async ({ blob }, peer) =>
    peer.write(handshakeOf(blob.swarmId, mallory), FIRST_BLOCK),
  'a request between handshake and grant': async ({ blob, mint }, peer) => {
    peer.write(handshakeOf(blob.swarmId, mallory), FIRST_BLOCK, extendedOf(await mint()));
  },
  'a request with the grant, before it can have been verified': async ({ blob, mint }, peer) => {
    peer.write(handshakeOf(blob.swarmId, mallory), extendedOf(await mint()), FIRST_BLOCK);
  },
  'another protocol': async (_scene, peer) => peer.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'.repeat(10))),
  'an extended handshake above the limit': async ({ blob }, peer) => {
    peer.write(handshakeOf(blob.swarmId, mallory), Buffer.from('ffffffff1400', 'hex'), Buffer.alloc(100_000));
  },
  'an empty frame in place of the grant': async ({ blob }, peer) => {
    peer.write(handshakeOf(blob.swarmId, mallory), Buffer.alloc(4));
  },
};

test('T-12: a node of the cluster gets not one byte without a right, whatever its greeting says', async (t) => {
  const scene = await setScene(t);
  for (const [name, greet] of Object.entries(greetings)) {
    await t.test(`a greeting with ${name} is closed without an answer`, async () => {
      const peer = await scene.dial();
      await greet(scene, peer);
      await peer.closed;
      assert.equal(peer.receivedBytes, 0);
    });
  }
  await t.test('the same node with a right gets an answer', async () => {
    const peer = await scene.dial();
    peer.greet(scene.blob.swarmId, mallory, await scene.mint());
    await peer.opened();
    peer.socket.destroy();
  });
});
