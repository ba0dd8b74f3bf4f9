import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_LENGTH } from '@sealift/core';
import { TestCluster } from '../../packages/peer/src/cluster.fixture.ts';
import { RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';
import { FIRST_BLOCK, mallory, setScene } from './mallory.ts';

test('T-13: a holder of a grant to seed is served nothing', async (t) => {
  const { blob, mint, dial } = await setScene(t);
  const peer = await dial();
  peer.greet(blob.swarmId, mallory, await mint({ use: 'seed' }));
  await peer.opened();
  peer.send({ type: 'have-none' }, { type: 'interested' });
  peer.write(FIRST_BLOCK);
  await peer.closed;
  assert.equal(peer.payloadBytes, 0);
  assert.ok(!peer.messages.some(({ type }) => type === 'unchoke'));
});

test('T-13: a grant that ends takes its connection with it', async (t) => {
  const { blob, mint, dial } = await setScene(t);
  const peer = await dial();
  peer.greet(blob.swarmId, mallory, await mint({ expiresAt: Date.now() + 2_000 }));
  await peer.opened();
  await peer.closed;
  assert.equal(peer.payloadBytes, 0);
});

test('T-13: a piece that was not shown to a peer is not sent to it', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const seeder = await cluster.peer('seeder', { role: 'seeder' });
  await seeder.grant(blob);
  await seeder.engine.ingest({ ...blob.request, signer: cluster.signer });
  const attacker = await cluster.attacker();
  const peer = await RawPeer.dial(seeder.engine.port, attacker.tls);
  peer.greet(blob.swarmId, mallory, await cluster.mint(blob, attacker));
  peer.send({ type: 'have-none' }, { type: 'interested' });
  await peer.next('unchoke');
  peer.write(FIRST_BLOCK);
  assert.deepEqual(await peer.next('reject'), { type: 'reject', index: 0, begin: 0, length: BLOCK_LENGTH });
  peer.socket.destroy();
});
