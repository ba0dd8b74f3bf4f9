import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { silentLogger, systemClock } from '@sealift/core';
import { NodeIdentity } from '@sealift/peer';
import { fetchTrustAnchor } from '@sealift/pki';
import { HostileCertificates } from '@sealift/testkit';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

test('T-28: an impostor in the tracker’s place hears no join token, whatever certificate it shows', async (t) => {
  const cluster = new TestTracker();
  await cluster.start();
  t.after(() => cluster.stop());
  const { ca } = cluster.state;
  const cast = new HostileCertificates({ ca });
  const impostors = {
    'of another CA': await cast.material('other-ca', { role: 'tracker' }),
    'of a forged signature': await cast.material('forged', { role: 'tracker' }),
    'of a mere node': await cast.material('valid', { role: 'node' }),
    'that has ended': await cast.material('expired', { role: 'tracker' }),
    'of another cluster': await cast.material('other-cluster', { role: 'tracker' }),
  };
  for (const [name, material] of Object.entries(impostors)) {
    await t.test(`a certificate ${name} is refused before a word is said`, async () => {
      let requests = 0;
      const cert = `${material.certificatePem}${ca.certificatePem}`;
      const server = createServer({ cert, key: material.privateKeyPem }, (_, response) => {
        requests += 1;
        response.end('{}');
      });
      server.on('tlsClientError', () => {});
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
      let reads = 0;
      const { promise, resolve } = Promise.withResolvers<void>();
      const identity = new NodeIdentity({
        origin,
        trust: { trustAnchors: ca.certificatePem },
        readEnrolmentToken: async () => {
          reads += 1;
          return { joinToken: 'slj_0123456789abcdef0123456789abcdef' };
        },
        clock: systemClock,
        log: { ...silentLogger, warn: (event) => void (event === 'enrolment_failed' && resolve()) },
      });
      await identity.start();
      await promise;
      await identity.stop();
      server.close();
      server.closeAllConnections();
      assert.deepEqual([requests, identity.credentials], [0, undefined]);
      assert.ok(reads > 0, 'it was about to say it');
    });
  }
});

test('T-28: a node that knows the fingerprint takes no other CA, though it is of the same name', async (t) => {
  const [real, impostor] = [new TestTracker(), new TestTracker()];
  await Promise.all([real.start(), impostor.start()]);
  t.after(() => Promise.all([real.stop(), impostor.stop()]));
  const { fingerprint } = real.state.ca;
  const signal = AbortSignal.timeout(10_000);
  await assert.rejects(fetchTrustAnchor({ origin: impostor.origin, fingerprint }, { signal }), {
    code: 'TRUST_ANCHOR_MISMATCH',
  });
  await fetchTrustAnchor({ origin: real.origin, fingerprint }, { signal });
});
