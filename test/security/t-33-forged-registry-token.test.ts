import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { Digest } from '@sealift/core';
import { parseKeySet } from '@sealift/registry';
import { TestIssuer } from '../../packages/registry/src/registry-token/token.fixture.ts';
import { TestTracker } from '../../packages/tracker/src/tracker.fixture.ts';

const cluster = new TestTracker();
const mallory = new TestIssuer();
let digest: Digest;
let good: string;

before(async () => {
  const keys = async () => JSON.stringify({ keys: [await cluster.registry.tokens.publicJwk()] });
  cluster.keySets = async () => [parseKeySet(await keys())];
  await cluster.start();
  digest = cluster.registry.addBlob('team/app', Buffer.from('a layer'));
  good = await cluster.registry.tokens.issue({ repositories: ['team/app'], key: 'kid' });
});
after(() => cluster.stop());

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

test('T-33: a forged token is never believed offline, though a true one has made the blob known', async (t) => {
  const node = await cluster.enrol();
  const join = async (token: string): Promise<string> => {
    const body = { registry: cluster.registry.host, repository: 'team/app', digest, intent: 'pull' } as const;
    const authorization = `Bearer ${token}`;
    const answer = await node.client.join({ ...body, authorization }, { signal: AbortSignal.timeout(10_000) });
    await cluster.tokens.settled();
    return answer.verdict;
  };
  assert.equal(await join(good), 'granted');
  const offline = await cluster.registry.tokens.issue({ repositories: ['team/app'], key: 'kid' });
  const asked = cluster.registry.counts(digest).heads;
  assert.equal(await join(offline), 'granted');
  assert.equal(cluster.registry.counts(digest).heads, asked, 'a true one is judged here');
  const other = await cluster.registry.tokens.issue({ repositories: ['team/other'], key: 'kid' });
  const [head = '', claims = '', signature = ''] = good.split('.');
  const { kid } = JSON.parse(Buffer.from(head, 'base64url').toString()) as { kid: string };
  const [, otherClaims = '', otherSignature = ''] = other.split('.');
  const hmacHead = encode({ alg: 'HS256', typ: 'JWT', kid });
  const publicKey = JSON.stringify(await cluster.registry.tokens.publicJwk());
  const mac = createHmac('sha256', publicKey).update(`${hmacHead}.${claims}`).digest('base64url');
  const forged = {
    'without a signature, alg none': `${encode({ alg: 'none', typ: 'JWT', kid })}.${claims}.`,
    'with alg none and the old signature': `${encode({ alg: 'none', typ: 'JWT', kid })}.${claims}.${signature}`,
    'with the public key as HMAC secret': `${hmacHead}.${claims}.${mac}`,
    'signed by somebody else': await mallory.token({ kid: mallory.thumbprint }),
    'signed by somebody else under a known kid': await mallory.token({ kid }),
    'with its own key in jwk': await mallory.token({ jwk: mallory.jwk }),
    'with its own key in x5c': await mallory.token({ x5c: [await mallory.x5c()] }),
    'with a key by address': await mallory.token({ jku: 'https://evil.example/jwks', kid }),
    'of another repository with claims of this one': `${head}.${claims}.${otherSignature}`,
    'of another repository': `${head}.${otherClaims}.${otherSignature}`,
  };
  for (const [name, token] of Object.entries(forged)) {
    await t.test(`a token ${name} is for the registry to judge, which refuses it`, async () => {
      const before = cluster.registry.counts(digest).heads;
      assert.equal(await join(token), 'denied');
      assert.ok(cluster.registry.counts(digest).heads > before);
    });
  }
});
