import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '@sealift/core';
import { createLoopbackCertificate, FakeClock } from '@sealift/testkit';
import { RemoteKeys } from './remote-keys.ts';
import type { SigningKey } from './signing-key.ts';
import { TestIssuer } from './token.fixture.ts';

const issuer = new TestIssuer();
const next = new TestIssuer();

/** A place for a JWKS that answers as the test says. */
async function scene(t: TestContext) {
  const { caPem, certificatePem, privateKeyPem } = await createLoopbackCertificate();
  const place = {
    fetches: 0,
    answer: (response: ServerResponse): void => {
      response.end(JSON.stringify({ keys: [issuer.jwk] }));
    },
  };
  const server = createServer({ cert: certificatePem, key: privateKeyPem }, (_request, response) => {
    place.fetches += 1;
    place.answer(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const clock = new FakeClock();
  const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/keys`);
  const keys = new RemoteKeys({ url, caPem, clock, log: silentLogger });
  t.after(async () => {
    await keys.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const has = async ({ key }: TestIssuer) =>
    (await keys.find((other: SigningKey) => other.fingerprint === key.fingerprint)).length > 0;
  return { place, clock, keys, has, url };
}

test('keys are fetched when one is needed, once for all who ask, and kept for an hour', async (t) => {
  const { place, clock, has } = await scene(t);
  assert.deepEqual(await Promise.all([has(issuer), has(issuer), has(issuer)]), [true, true, true]);
  clock.advance(3_599_000);
  assert.equal(await has(issuer), true);
  assert.equal(place.fetches, 1);
  clock.advance(1_000);
  assert.equal(await has(issuer), true);
  assert.equal(place.fetches, 2);
});

test('an unknown key has them fetched again, at most once a minute', async (t) => {
  const { place, clock, has } = await scene(t);
  await has(issuer);
  place.answer = (response) => void response.end(JSON.stringify({ keys: [issuer.jwk, next.jwk] }));
  for (let tries = 0; tries < 5; tries += 1) assert.equal(await has(next), false);
  assert.equal(place.fetches, 1);
  clock.advance(60_000);
  assert.equal(await has(next), true);
  assert.equal(await has(issuer), true);
});

const broken: readonly (readonly [string, (response: ServerResponse) => void])[] = [
  ['a redirect', (response) => response.writeHead(302, { location: 'https://127.0.0.1:1/' }).end()],
  ['a 404', (response) => response.writeHead(404).end()],
  ['a page', (response) => response.end('<html></html>')],
  ['an endless body', (response) => response.end(Buffer.alloc(300_000, ' '))],
  ['a cut connection', (response) => response.destroy()],
];
for (const [what, answer] of broken) {
  test(`a place that answers with ${what} has no keys, and those from before stay for their time`, async (t) => {
    const { place, clock, has } = await scene(t);
    assert.equal(await has(issuer), true);
    place.answer = answer;
    clock.advance(60_000);
    assert.equal(await has(next), false);
    assert.equal(await has(issuer), true);
    clock.advance(3_600_000);
    assert.equal(await has(issuer), false);
  });
}

test('a place whose certificate nobody vouches for has no keys', async (t) => {
  const { place, url, clock } = await scene(t);
  const keys = new RemoteKeys({ url, caPem: undefined, clock, log: silentLogger });
  t.after(() => keys.stop());
  assert.deepEqual(await keys.find(() => true), []);
  assert.equal(place.fetches, 0);
});

test('a stop ends a fetch that hangs', async (t) => {
  const { place, keys } = await scene(t);
  const asked = Promise.withResolvers<void>();
  place.answer = () => asked.resolve();
  const waiting = keys.find(() => true);
  await asked.promise;
  await keys.stop();
  assert.deepEqual(await waiting, []);
});
