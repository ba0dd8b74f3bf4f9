import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { inspect } from 'node:util';
import { type BlobRef, isAppError, parseRepository } from '@sealift/core';
import { createLoopbackCertificate, FakeRegistry } from '@sealift/testkit';
import { type BearerChallenge, parseChallenge } from './auth-challenge.ts';
import { authorizationExpiry, basicAuthorization } from './authorization.ts';
import { RegistryClient } from './client.ts';
import { fetchToken } from './token.ts';

const PASSWORD = 'czNjcjN0LXZhbHVl';
const alice = { username: 'alice', password: PASSWORD };

const registry = new FakeRegistry({ auth: 'bearer' });
let client: RegistryClient;
let blob: BlobRef;

before(async () => {
  await registry.start();
  client = new RegistryClient({ registries: [registry.config] });
  const digest = registry.addBlob('team/app', Buffer.from('a layer'));
  registry.addBlob('library/free', Buffer.from('a free layer'));
  registry.tokens.addUser('alice', PASSWORD, ['team/app']);
  registry.tokens.addPublicRepository('library/free');
  blob = { registry: registry.host, repository: parseRepository('team/app'), digest };
});
after(async () => {
  await client.close();
  await registry.stop();
});

const never = (): AbortSignal => new AbortController().signal;

/** What the registry demands of whoever comes without a token. */
async function challenge(): Promise<BearerChallenge> {
  const answer = await client.fetchManifest({
    ...blob,
    reference: 'latest',
    authorization: undefined,
    signal: never(),
  });
  assert.equal(answer.status, 401);
  const parsed = parseChallenge(String(answer.headers['www-authenticate']));
  assert.ok(parsed?.scheme === 'bearer');
  return parsed;
}

/** Whatever is thrown has this code and no secret anywhere in it. */
async function assertRefused(work: Promise<unknown>, code: string, secret = PASSWORD): Promise<void> {
  await assert.rejects(work, (error) => {
    const everything = inspect(error, { depth: 12, showHidden: true });
    for (const hidden of [secret, Buffer.from(`alice:${PASSWORD}`).toString('base64')]) {
      assert.equal(everything.includes(hidden), false, everything);
    }
    assert.ok(isAppError(error), everything);
    return error.code === code;
  });
}

test('the token of the realm opens the blob that the challenge was about', async () => {
  const token = await fetchToken({
    challenge: await challenge(),
    credentials: alice,
    caPem: registry.caPem,
    signal: never(),
  });
  const authorization = `Bearer ${token}`;
  assert.equal((await client.headBlob(blob, { authorization, signal: never() })).kind, 'yes');
  assert.ok((authorizationExpiry(authorization) ?? 0) > Date.now());
});

test('a token opens only the repositories that its user may pull', async () => {
  const scope = 'repository:team/app:pull repository:library/free:pull';
  const anonymous = await fetchToken({ challenge: await challenge(), scope, caPem: registry.caPem, signal: never() });
  const authorization = `Bearer ${anonymous}`;
  assert.deepEqual(await client.headBlob(blob, { authorization, signal: never() }), { kind: 'no', status: 401 });
  const free = registry.addBlob('library/free', Buffer.from('a free layer'));
  const repository = parseRepository('library/free');
  const verdict = await client.headBlob({ ...blob, repository, digest: free }, { authorization, signal: never() });
  assert.equal(verdict.kind, 'yes');
  // The right to a repository is no right to a digest that is not in it.
  const other = await client.headBlob({ ...blob, repository }, { authorization, signal: never() });
  assert.deepEqual(other, { kind: 'no', status: 404 });
});

test('an opaque token opens as well as a JWT, until it is revoked or ends', async () => {
  const token = await registry.tokens.issue({ repositories: ['team/app'], form: 'opaque' });
  const authorization = `Bearer ${token}`;
  assert.equal((await client.headBlob(blob, { authorization, signal: never() })).kind, 'yes');
  registry.tokens.revoke(token);
  assert.equal((await client.headBlob(blob, { authorization, signal: never() })).kind, 'no');
  const ended = await registry.tokens.issue({ repositories: ['team/app'], lifeSeconds: -1 });
  assert.equal((await client.headBlob(blob, { authorization: `Bearer ${ended}`, signal: never() })).kind, 'no');
});

test('a wrong password gets no token', async () => {
  const credentials = { username: 'alice', password: `${PASSWORD}x` };
  const work = fetchToken({ challenge: await challenge(), credentials, caPem: registry.caPem, signal: never() });
  await assertRefused(work, 'REGISTRY_REFUSED');
});

test('credentials are not sent to a realm that is not HTTPS, or not trusted', async () => {
  const realms = [
    'http://127.0.0.1:1/token',
    'token',
    '',
    `https://bob:${PASSWORD}@127.0.0.1:1/`,
    'file:///etc/passwd',
  ];
  for (const realm of realms) {
    const work = fetchToken({ challenge: { scheme: 'bearer', realm }, credentials: alice, signal: never() });
    await assertRefused(work, 'REGISTRY_UNAVAILABLE');
  }
  const seen = registry.requests.length;
  const work = fetchToken({
    challenge: { scheme: 'bearer', realm: registry.realm },
    credentials: alice,
    signal: never(),
  });
  await assertRefused(work, 'REGISTRY_UNAVAILABLE');
  assert.equal(registry.requests.length, seen);
});

test('credentials that would be two headers are not sent', async () => {
  const credentials = { username: 'alice\r\nX-Evil: 1', password: PASSWORD };
  const work = fetchToken({ challenge: await challenge(), credentials, caPem: registry.caPem, signal: never() });
  await assertRefused(work, 'AUTHORIZATION_INVALID');
});

const answers: readonly (readonly [name: string, answer: (response: ServerResponse) => void])[] = [
  ['no JSON', (response) => response.end(`token ${PASSWORD}`)],
  ['JSON cut short', (response) => response.end(`{"token":"${PASSWORD}`)],
  ['no object', (response) => response.end('null')],
  ['no token', (response) => response.end('{"expires_in":300}')],
  ['a token that is a number', (response) => response.end('{"token":7}')],
  ['an empty token', (response) => response.end('{"token":""}')],
  ['a token with a space', (response) => response.end(`{"token":"${PASSWORD} x"}`)],
  ['an endless body', (response) => response.end(Buffer.alloc(300_000, PASSWORD))],
  ['a redirect', (response) => response.writeHead(307, { location: 'https://127.0.0.1:1/' }).end()],
  ['a 500', (response) => response.writeHead(500).end(PASSWORD)],
  ['a cut connection', (response) => response.destroy()],
];
for (const [name, answer] of answers) {
  test(`a token server that answers with ${name} is unavailable`, async (t) => {
    const { realm, caPem } = await realmThat(t, answer);
    const challenge = { scheme: 'bearer', realm } as const;
    await assertRefused(fetchToken({ challenge, credentials: alice, caPem, signal: never() }), 'REGISTRY_UNAVAILABLE');
  });
}

test('a token with a line break is never used', async (t) => {
  const { realm, caPem } = await realmThat(t, (response) => response.end(JSON.stringify({ token: 'x\r\nX-Evil: 1' })));
  await assertRefused(
    fetchToken({ challenge: { scheme: 'bearer', realm }, caPem, signal: never() }),
    'REGISTRY_UNAVAILABLE',
  );
});

test('the older name of the token is understood', async (t) => {
  const { realm, caPem } = await realmThat(t, (response) => response.end('{"access_token":"opaque"}'));
  assert.equal(
    await fetchToken({ challenge: { scheme: 'bearer', realm: `${realm}?a=b` }, caPem, signal: never() }),
    'opaque',
  );
});

test('an abort ends the wait for a token with the reason of the signal', async (t) => {
  const controller = new AbortController();
  const reason = new Error('no longer wanted');
  const { realm, caPem } = await realmThat(t, () => controller.abort(reason));
  await assert.rejects(
    fetchToken({ challenge: { scheme: 'bearer', realm }, caPem, signal: controller.signal }),
    reason,
  );
});

test('a registry with Basic is asked with Basic', async (t) => {
  const basic = new FakeRegistry({ auth: 'basic' });
  await basic.start();
  t.after(() => basic.stop());
  basic.tokens.addUser('alice', PASSWORD, ['team/app']);
  basic.tokens.addUser('bob', PASSWORD, []);
  const digest = basic.addBlob('team/app', Buffer.from('a layer'));
  const by = new RegistryClient({ registries: [basic.config] });
  t.after(() => by.close());
  const head = (authorization: string | undefined) =>
    by.headBlob({ ...blob, registry: basic.host, digest }, { authorization, signal: never() });
  assert.equal((await head(basicAuthorization(alice))).kind, 'yes');
  assert.deepEqual(await head(basicAuthorization({ ...alice, username: 'bob' })), { kind: 'no', status: 403 });
  assert.deepEqual(await head(undefined), { kind: 'no', status: 401 });
});

/** A token server that answers as told. */
async function realmThat(
  t: { after: (work: () => Promise<void>) => void },
  answer: (response: ServerResponse) => void,
): Promise<{ realm: string; caPem: string }> {
  const { caPem, certificatePem, privateKeyPem } = await createLoopbackCertificate();
  const server = createServer({ cert: certificatePem, key: privateKeyPem }, (_request, response) => answer(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { realm: `https://127.0.0.1:${(server.address() as AddressInfo).port}/token`, caPem };
}
