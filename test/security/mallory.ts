import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { encodeMessage } from '@sealift/bittorrent';
import { BLOCK_LENGTH } from '@sealift/core';
import type { TlsMaterial } from '@sealift/pki';
import { nodeIdOf } from '@sealift/testkit';
import type { GrantClaims } from '@sealift/tracker-api';
import { type TestBlob, TestCluster, type TestPeer } from '../../packages/peer/src/cluster.fixture.ts';
import { RawPeer } from '../../packages/peer/src/raw-peer.fixture.ts';

/** An enrolled node that is not to be trusted. */
export const mallory = nodeIdOf('mallory');

/** A request for the first block. */
export const FIRST_BLOCK = encodeMessage({ type: 'request', index: 0, begin: 0, length: BLOCK_LENGTH });

/** A cluster with a seeder of one blob, and what mallory has to work with. */
export interface Scene {
  readonly cluster: TestCluster;
  readonly blob: TestBlob;
  readonly seeder: TestPeer;
  /** Mallory's certificate and key. */
  readonly tls: TlsMaterial;
  /** A grant for mallory and this blob, with changes. */
  mint(change?: Partial<GrantClaims>, blob?: TestBlob): Promise<string>;
  /** A connection of mallory to the seeder, with a right if `grant` gives one. */
  dial(): Promise<RawPeer>;
}

/** Sets the scene; it ends with the test. */
export async function setScene(
  t: TestContext,
  options: Parameters<TestCluster['seeder']>[1] = {},
  { pieceCount = 4 } = {},
): Promise<Scene> {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(pieceCount);
  const seeder = await cluster.seeder(blob, options);
  const attacker = await cluster.attacker();
  return {
    cluster,
    blob,
    seeder,
    tls: attacker.tls,
    mint: (change = {}, of = blob) => cluster.mint(of, attacker, change),
    dial: () => RawPeer.dial(seeder.engine.port, attacker.tls),
  };
}

/** A peer in good standing still gets the whole blob: what was refused was not refused for want of it. */
export async function assertServes(
  { cluster, blob }: Pick<Scene, 'cluster' | 'blob'>,
  name = 'honest',
): Promise<TestPeer> {
  const peer = await cluster.peer(name);
  await peer.grant(blob);
  const swarm = await peer.engine.download({ ...blob.request, batches: [] });
  const release = swarm.acquire();
  await swarm.waitForComplete({ signal: AbortSignal.timeout(20_000) });
  const bytes = Buffer.alloc(blob.bytes.length);
  await swarm.blob.read(0, bytes);
  release();
  assert.ok(bytes.equals(blob.bytes));
  return peer;
}
