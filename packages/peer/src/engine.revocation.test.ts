import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistryHost, parseRepository, type Revocation } from '@sealift/core';
import { nodeIdOf } from '@sealift/testkit';
import { TestCluster } from './cluster.fixture.ts';
import { RawPeer } from './raw-peer.fixture.ts';

const MIB = 2 ** 20;

/** Takes back all rights to team/app of this second and before; `later` is a moment that it leaves alone. */
function revocationNow(): { deny: { version: number; nodeIds: []; revocations: Revocation[] }; later: number } {
  const provenBefore = (Math.floor(Date.now() / 1000) + 1) * 1000;
  const revocation = {
    registry: parseRegistryHost('registry.example'),
    repository: parseRepository('team/app'),
    provenBefore,
  };
  return { deny: { version: 1, nodeIds: [], revocations: [revocation] }, later: provenBefore };
}

test('an engine that hears of a revocation cuts the connection, takes no grant of before, and takes a later one', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const seeder = await cluster.seeder(blob);
  const mallory = await cluster.credentials(nodeIdOf('mallory'));
  const { deny, later } = revocationNow();
  await seeder.grant(blob, { authTime: later });
  const greet = async (authTime: number): Promise<RawPeer> => {
    const peer = await RawPeer.dial(seeder.engine.port, mallory.tls);
    peer.greet(blob.swarmId, mallory.identity.id, await cluster.mint(blob, mallory, { authTime }));
    return peer;
  };
  const running = await greet(later - 1_000);
  await running.opened();
  cluster.tracker.deny = deny;
  seeder.engine.takeDenyList(deny);
  await running.closed;
  const again = await greet(later - 1_000);
  await again.closed;
  assert.equal(again.receivedBytes, 0);
  await (await greet(later)).opened();
});

test('a running transfer ends with its right, another repository of the same swarm goes on, and a new right too', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(6, { pieceLength: MIB, tail: MIB });
  const rates = { uploadBytesPerSecond: 3 * MIB };
  const seeder = await cluster.seeder(blob, { rates });
  const [revoked, other] = [await cluster.peer('revoked', { rates }), await cluster.peer('other', { rates })];
  await revoked.grant(blob);
  await other.grant(blob, { repository: parseRepository('team/other') });
  const batches = cluster.batches(blob);
  const [ended, whole] = await Promise.all(
    [revoked, other].map((peer) => peer.engine.download({ ...blob.request, batches })),
  );
  assert.ok(ended !== undefined && whole !== undefined);
  ended.acquire();
  whole.acquire();
  const end = assert.rejects(ended.waitForComplete({ signal: t.signal }), {
    code: 'SWARM_STALLED',
    details: { reason: 'we hold no grant any more' },
  });
  await ended.waitForPiece(0, { signal: t.signal });
  const { deny, later } = revocationNow();
  // The seeder's own grant is minted anew before it hears of the revocation, as its tracker does.
  await seeder.grant(blob, { authTime: later });
  cluster.tracker.deny = deny;
  seeder.engine.takeDenyList(deny);
  await end;
  // A stranger's may be at the door: the swarm has none.
  assert.equal(ended.connectionCount, 0);
  assert.ok(!ended.isComplete);
  await whole.waitForComplete({ signal: t.signal });
  await revoked.grant(blob, { authTime: later });
  await (await revoked.engine.download({ ...blob.request, batches })).waitForComplete({ signal: t.signal });
});
