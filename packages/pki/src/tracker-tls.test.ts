import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { parseClusterId } from '@sealift/core';
import { type CertificateKind, HostileCertificates, openTlsPair } from '@sealift/testkit';
import { identityOfSocket } from './identity.ts';
import { SwarmCa } from './swarm-ca.ts';
import type { TlsMaterial } from './tls-material.ts';
import { trackerConnectOptions, trackerServerOptions } from './tracker-tls.ts';

const clusterId = parseClusterId('alpha');
let cast: HostileCertificates;
let tracker: TlsMaterial;
let trustAnchors: string;

before(async () => {
  const ca = await SwarmCa.create({ clusterId });
  trustAnchors = ca.certificatePem;
  cast = new HostileCertificates({ ca });
  tracker = await cast.material('valid', { role: 'tracker' });
});

test('a node reaches the tracker, and each knows the other', async (t) => {
  const client = await cast.material('valid');
  const pair = await openTlsPair({
    server: trackerServerOptions(tracker),
    client: trackerConnectOptions({ trustAnchors, clusterId, client }),
  });
  t.after(pair.close);
  assert.equal(identityOfSocket(pair.server, { clusterId, roles: ['node'] }).id, 'mallory');
  assert.equal(identityOfSocket(pair.client, { clusterId, roles: ['tracker'] }).role, 'tracker');
});

test('a client without a certificate gets through to the tracker, but has no identity', async (t) => {
  const pair = await openTlsPair({
    server: trackerServerOptions(tracker),
    client: trackerConnectOptions({ trustAnchors }),
  });
  t.after(pair.close);
  assert.throws(() => identityOfSocket(pair.server, { clusterId, roles: ['node'] }), { code: 'CERTIFICATE_REJECTED' });
});

for (const role of ['node', 'seeder'] as const) {
  test(`a ${role} cannot pose as the tracker`, async () => {
    const impostor = await cast.material('valid', { role });
    await assert.rejects(
      openTlsPair({
        server: trackerServerOptions(impostor),
        client: trackerConnectOptions({ trustAnchors, clusterId }),
      }),
      { code: 'CERTIFICATE_REJECTED' },
    );
  });
}

test('a tracker of another cluster is refused, whatever its CA', async () => {
  const client = trackerConnectOptions({ trustAnchors, clusterId: parseClusterId('beta') });
  await assert.rejects(openTlsPair({ server: trackerServerOptions(tracker), client }), {
    code: 'CERTIFICATE_REJECTED',
  });
  const other = new HostileCertificates({ ca: await SwarmCa.create({ clusterId: parseClusterId('beta') }) });
  const server = trackerServerOptions(await other.material('valid', { role: 'tracker' }));
  await assert.rejects(openTlsPair({ server, client: trackerConnectOptions({ trustAnchors }) }), {
    code: 'SELF_SIGNED_CERT_IN_CHAIN',
  });
});

const refusedKinds: readonly CertificateKind[] = [
  'expired',
  'other-ca',
  'client-only',
  'no-eku',
  'dns-only',
  'two-uris',
];
for (const kind of refusedKinds) {
  test(`a tracker with a certificate of the kind "${kind}" is refused`, async () => {
    const server = trackerServerOptions(await cast.material(kind, { role: 'tracker' }));
    await assert.rejects(openTlsPair({ server, client: trackerConnectOptions({ trustAnchors, clusterId }) }), {
      code: /^(?:CERT_HAS_EXPIRED|INVALID_PURPOSE|CERTIFICATE_REJECTED|CERT_SIGNATURE_FAILURE|UNABLE_TO_|SELF_SIGNED)/,
    });
  });
}
