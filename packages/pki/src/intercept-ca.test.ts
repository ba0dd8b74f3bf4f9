import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { type ConnectionOptions, checkServerIdentity, type SecureContext } from 'node:tls';
import { parseRegistryHost } from '@sealift/core';
import { FakeClock, openTlsPair } from '@sealift/testkit';
import { InterceptCa } from './intercept-ca.ts';

const DAY_MS = 86_400_000;
const registries = ['registry.example:5000', 'hub.example', '127.0.0.1:5000', '[::1]:5000'].map(parseRegistryHost);
const nodeName = 'worker-7';

/** Connects as the runtime does: it trusts `anchors` and expects `host`. */
function dial({ context, host, anchors }: { context: SecureContext; host: string; anchors: string }) {
  const client: ConnectionOptions = {
    ca: anchors,
    checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate),
  };
  return openTlsPair({ server: { SNICallback: (_name, done) => done(null, context) }, client: withSni(client, host) });
}

// A server looks for its context by SNI, and an address is no valid SNI: the name in the ClientHello does not matter here.
function withSni(client: ConnectionOptions, host: string): ConnectionOptions {
  return { ...client, servername: /^[\d.:]+$/.test(host) ? 'by-address.example' : host };
}

test('a runtime that trusts the CA accepts its leaves, for names and for addresses', async (t) => {
  const ca = await InterceptCa.create({ registries, nodeName });
  for (const host of ['registry.example', 'hub.example', '127.0.0.1', '::1']) {
    const pair = await dial({ context: await ca.secureContextFor(host), host, anchors: ca.certificatePem });
    t.after(pair.close);
    assert.equal(pair.client.authorized, true);
  }
});

test('no leaf is made for a host that is not configured', async () => {
  const ca = await InterceptCa.create({ registries, nodeName });
  const hosts = [
    'evil.example',
    'sub.registry.example',
    'registry.example:5000',
    'registry.example.',
    '127.0.0.2',
    '::2',
    '',
  ];
  for (const host of hosts) await assert.rejects(ca.secureContextFor(host), { code: 'CERTIFICATE_REJECTED' });
});

test('all spellings of a host share one leaf, which is replaced in time', async () => {
  const clock = new FakeClock();
  const ca = await InterceptCa.create({ registries, nodeName, clock });
  const first = await ca.secureContextFor('registry.example');
  assert.equal(await ca.secureContextFor('REGISTRY.example'), first);
  assert.equal(await ca.secureContextFor('[0:0:0:0:0:0:0:1]'), await ca.secureContextFor('::1'));
  clock.advance(DAY_MS);
  assert.equal(await ca.secureContextFor('registry.example'), first);
  clock.advance(6 * DAY_MS);
  assert.notEqual(await ca.secureContextFor('registry.example'), first);
});

for (const [wrong, offset] of [
  ['a day ahead', () => DAY_MS],
  ['at 1970', () => -Date.now()],
] as const) {
  test(`a node whose clock is ${wrong} when it starts is trusted once the clock is set`, async (t) => {
    const clock = new FakeClock(Date.now() + offset());
    const ca = await InterceptCa.create({ registries, nodeName, clock });
    // In 1970 there is nothing to show, and nobody whose own clock would believe it.
    await ca.secureContextFor('registry.example').catch(() => {});
    clock.advance(Date.now() - clock.now());
    const context = await ca.secureContextFor('registry.example');
    const pair = await dial({ context, host: 'registry.example', anchors: ca.certificatePem });
    t.after(pair.close);
    assert.equal(pair.client.authorized, true);
  });
}

test('the CA says whose it is and may sign leaves only', async () => {
  const { certificatePem: pem } = await InterceptCa.create({ registries, nodeName });
  const certificate = new X509Certificate(pem);
  assert.equal(certificate.subject, 'CN=Sealift intercept CA worker-7');
  assert.equal(certificate.ca, true);
});

test('two CAs of one node have keys of their own', async () => {
  const [one, two] = [
    await InterceptCa.create({ registries, nodeName }),
    await InterceptCa.create({ registries, nodeName }),
  ];
  const keyOf = (ca: InterceptCa) => new X509Certificate(ca.certificatePem).publicKey;
  assert.equal(keyOf(one).equals(keyOf(two)), false);
});

test('a CA for no registry at all is not made', async () => {
  await assert.rejects(InterceptCa.create({ registries: [], nodeName }), { code: 'CONFIG_INVALID' });
});
