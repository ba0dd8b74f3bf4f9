import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import { HostileCertificates, nodeIdOf } from '@sealift/testkit';
import { TestCluster } from '../../packages/peer/src/cluster.fixture.ts';

const HASTY = { lonelyStallTimeoutMs: 400, stallTimeoutMs: 400 };

test('T-29: a dialled node that is another than the tracker said gets no grant to see', async (t) => {
  const cluster = await TestCluster.create(t);
  const blob = cluster.blob(4);
  const hostile = new HostileCertificates({ ca: cluster.ca });
  const kinds = ['valid', 'other-ca', 'expired', 'forged', 'other-cluster'] as const;
  for (const kind of kinds) {
    await t.test(`one with a certificate of kind ${kind}, of mallory`, async () => {
      const { certificatePem: cert, privateKeyPem: key } = await hostile.material(kind);
      let heard = 0;
      let connections = 0;
      const impostor = createServer({ cert, key, requestCert: true, rejectUnauthorized: false }, (socket) => {
        socket.on('error', () => {});
        socket.on('data', (chunk: Buffer) => {
          heard += chunk.length;
        });
      });
      impostor.on('connection', () => {
        connections += 1;
      });
      impostor.on('tlsClientError', () => {});
      impostor.listen(0, '127.0.0.1');
      await once(impostor, 'listening');
      cluster.tracker.add(blob.swarmId, nodeIdOf('alice'), (impostor.address() as AddressInfo).port);
      const leecher = await cluster.peer(`leecher-${kind}`, { limits: HASTY });
      cluster.tracker.isVisible = (other) => other === nodeIdOf('alice');
      await leecher.grant(blob);
      const swarm = await leecher.engine.download({ ...blob.request, batches: [] });
      const release = swarm.acquire();
      await assert.rejects(swarm.waitForComplete({ signal: t.signal }), { code: 'SWARM_STALLED' });
      release();
      await leecher.stop();
      impostor.close();
      assert.ok(connections > 0, 'it was dialled');
      assert.equal(heard, 0);
    });
  }
});
