import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '@sealift/core';
import { TestCluster, type TestPeer } from './cluster.fixture.ts';

const MIB = 2 ** 20;
/** Life of a certificate here, in ms; whole seconds, for X.509 counts in them. */
const TTL_MS = 4_000;
/** Longest time without a byte that a renewal may cost, in ms. */
const MAX_PAUSE_MS = 2_000;

/** Renews at two thirds of each certificate's life, as `NodeIdentity` does. */
function keepRenewing(peer: TestPeer): () => Promise<void> {
  let work = Promise.resolve();
  const timer = setInterval(
    () => {
      work = work.then(() => peer.renew());
    },
    (TTL_MS * 2) / 3,
  );
  return () => {
    clearInterval(timer);
    return work;
  };
}

test('a transfer goes on over certificates that are renewed on both sides, without a pause', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(16, { pieceLength: MIB, tail: MIB });
  const seeder = await cluster.seeder(blob, { ttlMs: TTL_MS, rates: { uploadBytesPerSecond: 1.6 * MIB } });
  const ends: number[] = [];
  const log = {
    ...silentLogger,
    child: () => log,
    debug: (event: string) => void (event === 'peer_closed' && ends.push(Date.now())),
  };
  const leecher = await cluster.peer('leecher', { ttlMs: TTL_MS, log });
  const stops = [seeder, leecher].map(keepRenewing);
  try {
    const first = leecher.credentials.identity;
    await leecher.grant(blob);
    const swarm = await leecher.engine.download({ ...blob.request, batches: cluster.batches(blob) });
    swarm.acquire();
    let longestMs = 0;
    let lastAt = Date.now();
    let bytes = 0;
    const watch = setInterval(() => {
      if (swarm.stats.bytesFromPeers > bytes) {
        bytes = swarm.stats.bytesFromPeers;
        longestMs = Math.max(longestMs, Date.now() - lastAt);
        lastAt = Date.now();
      }
    }, 20);
    await swarm.waitForComplete({ signal: t.signal }).finally(() => clearInterval(watch));
    assert.ok(Date.now() > first.notAfter + TTL_MS, 'the transfer outlived two certificates');
    assert.ok(ends.length >= 2, `${ends.length} connections ended`);
    assert.ok(longestMs < MAX_PAUSE_MS, `${longestMs} ms without a byte`);
  } finally {
    await Promise.all(stops.map((stop) => stop()));
  }
});
