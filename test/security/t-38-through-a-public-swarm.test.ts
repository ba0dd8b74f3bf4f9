import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeHandshake } from '@sealift/bittorrent';
import { parseSwarmId, type SwarmId } from '@sealift/core';
import { HostileCertificates } from '@sealift/testkit';
import { pieceOf } from '../../packages/peer/src/cluster.fixture.ts';
import { extendedOf, RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';
import { FIRST_BLOCK, setScene } from './mallory.ts';

const PUBLIC_NAME = parseSwarmId('ab'.repeat(20));

function bareHandshake(infoHash: SwarmId): Buffer {
  const peerId = Buffer.from('-LT2080-abcdefghijkl');
  return encodeHandshake({ swarmId: infoHash, peerId, supportsExtended: true, supportsFast: true });
}

test('T-38: a swarm that is open to stock clients opens no other one', async (t) => {
  const { cluster, blob: open, seeder, dial } = await setScene(t, { limits: { handshakeTimeoutMs: 300 } });
  const closed = cluster.blob(3, { seed: 2 });
  await seeder.grant(closed);
  const ingest = await seeder.engine.ingest({ ...closed.request, signer: cluster.signer });
  for (let index = 0; index < 3; index += 1) await ingest.addPiece(index, pieceOf(closed, index));
  await ingest.complete();

  const silent = async (name: string, peer: RawPeer, handshake: Buffer): Promise<void> => {
    peer.write(handshake);
    peer.send({ type: 'have-none' }, { type: 'interested' });
    peer.write(FIRST_BLOCK);
    await peer.closed;
    assert.equal(peer.receivedBytes, 0, name);
  };
  await silent('nothing is public by itself', await dial(), bareHandshake(PUBLIC_NAME));
  seeder.engine.swarm(open.swarmId)?.setPublic(PUBLIC_NAME, 60_000);
  const stock = await dial();
  stock.write(bareHandshake(PUBLIC_NAME));
  await stock.opened();
  await silent('the id of a closed swarm', await dial(), bareHandshake(closed.swarmId));
  await silent('the other name of the open one', await dial(), bareHandshake(open.swarmId));
  const hostile = new HostileCertificates({ ca: cluster.ca });
  for (const kind of ['other-ca', 'expired', 'other-cluster', 'no-uri'] as const) {
    const peer = await RawPeer.dial(seeder.engine.port, await hostile.material(kind));
    await silent(`a certificate of kind ${kind}`, peer, bareHandshake(PUBLIC_NAME));
  }
  // Read as a message, its first bytes are a length far above the limit.
  stock.write(bareHandshake(closed.swarmId), extendedOf('a.b.c'));
  await stock.closed;
  assert.equal(stock.payloadBytes, 0);
});
