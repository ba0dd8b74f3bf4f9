import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { after, before, test } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { FakeRegistry } from './fake-registry.ts';

const registry = new FakeRegistry({ auth: 'bearer' });

before(async () => {
  await registry.start();
  registry.tokens.addUser('alice', 'open sesame', ['team/app']);
});
after(() => registry.stop());

/** One request on a connection of its own. */
async function ask(
  url: string,
  { method = 'GET', headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number | undefined; headers: IncomingMessage['headers']; text: string }> {
  const sent = request(url, { method, headers, ca: registry.caPem, agent: false });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, headers: response.headers, text };
}

test('the realm takes the password form of containerd, and its token verifies with the published key', async () => {
  const body = new URLSearchParams({
    grant_type: 'password',
    username: 'alice',
    password: 'open sesame',
    service: registry.tokens.service,
    scope: 'repository:team/app:pull,push',
  }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await ask(registry.realm, { method: 'POST', headers, body });
  assert.equal(answer.status, 200);
  const keys = createLocalJWKSet({ keys: [await registry.tokens.publicJwk()] });
  const { payload } = await jwtVerify(JSON.parse(answer.text).access_token, keys, {
    audience: registry.tokens.service,
    issuer: registry.tokens.issuer,
  });
  assert.deepEqual(payload['access'], [{ type: 'repository', name: 'team/app', actions: ['pull'] }]);

  const refused = await ask(registry.realm, { method: 'POST', headers, body: body.replace('sesame', 'barley') });
  assert.equal(refused.status, 401);
});

test('whoever comes without a token is told where to get one', async () => {
  const ping = await ask(`https://${registry.host}/v2/`);
  assert.equal(ping.status, 401);
  assert.equal(ping.headers['www-authenticate'], `Bearer realm="${registry.realm}",service="fake-registry"`);
  const authorization = `Bearer ${await registry.tokens.issue({ repositories: [] })}`;
  assert.equal((await ask(`https://${registry.host}/v2/`, { headers: { authorization } })).status, 200);
});

test('the CDN refuses whoever shows credentials or no signature', async () => {
  const digest = registry.addBlob('team/app', Buffer.from('a layer'));
  const url = `https://${registry.cdnHost}/${digest}`;
  assert.equal((await ask(url)).status, 403);
  assert.equal((await ask(`${url}?signature=fake-cdn-signature`)).status, 200);
  const headers = { authorization: 'Bearer x' };
  assert.equal((await ask(`${url}?signature=fake-cdn-signature`, { headers })).status, 400);
});

test('requests and bytes are counted for each blob', async () => {
  const digest = registry.addBlob('team/app', Buffer.from('another layer'));
  const authorization = `Bearer ${await registry.tokens.issue({ repositories: ['team/app'] })}`;
  const url = `https://${registry.host}/v2/team/app/blobs/${digest}`;
  await ask(url, { headers: { authorization } });
  await ask(url, { headers: { authorization, range: 'bytes=8-' } });
  await ask(url, { method: 'HEAD', headers: { authorization } });
  await ask(url);
  assert.deepEqual(registry.counts(digest), { gets: 3, heads: 1, bytesSent: 13 + 5 });
  await registry.received('GET', digest, 3);
});

test('a registry that is stopped twice and started anew serves what it held', async (t) => {
  const other = new FakeRegistry();
  await other.start();
  const digest = other.addBlob('team/app', Buffer.from('a layer'));
  await other.stop();
  await other.stop();
  await other.start();
  t.after(() => other.stop());
  const sent = request(`https://${other.host}/v2/team/app/blobs/${digest}`, { ca: other.caPem, agent: false }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  response.destroy();
});
