import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { Digest } from '@sealift/core';
import { basicAuthorization, type KeySet, parseKeySet } from '@sealift/registry';
import { FakeRegistry } from '@sealift/testkit';
import { PAIR_TTL_MS } from './right/proven-pairs.ts';
import { type TestNode, TestTracker } from './tracker.fixture.ts';

const REPOSITORY = 'team/app';

/** Nodes of a cluster, each with credentials of its own for the same repository. */
async function scene(
  t: TestContext,
  { isConfigured = false, auth = 'bearer' as 'bearer' | 'basic' | 'anonymous', nodes: count = 5 } = {},
) {
  const cluster = new TestTracker({}, new FakeRegistry({ auth }));
  const { registry } = cluster;
  if (isConfigured) cluster.keySets = async () => [await publishedKeys(registry)];
  await cluster.start();
  t.after(() => cluster.stop());
  const nodes = await Promise.all(Array.from({ length: count }, (_, index) => cluster.enrol(`node-${index}`)));
  const digest = addBlob();
  function addBlob(): Digest {
    return registry.addBlob(REPOSITORY, Buffer.from(randomUUID()));
  }
  const token = (request: Partial<Parameters<FakeRegistry['tokens']['issue']>[0]> = {}) =>
    registry.tokens.issue({ repositories: [REPOSITORY], key: 'jwk', ...request });
  const join = async (node: TestNode | undefined, text: string, blob = digest, repository = REPOSITORY) => {
    assert.ok(node);
    const authorization = /^(Basic|Bearer) /.test(text) ? text : `Bearer ${text}`;
    const body = { registry: registry.host, repository, digest: blob, authorization, intent: 'pull' } as const;
    const answer = await node.client.join(body, { signal: AbortSignal.timeout(10_000) });
    await cluster.tokens.settled();
    return answer.verdict;
  };
  const heads = (blob = digest) => registry.counts(blob).heads;
  return { cluster, registry, nodes, digest, addBlob, token, join, heads };
}

async function publishedKeys(registry: FakeRegistry): Promise<KeySet> {
  return parseKeySet(JSON.stringify({ keys: [await registry.tokens.publicJwk()] }));
}

test('once one token has been proven, other nodes with their own tokens cost the registry nothing', async (t) => {
  const { registry, nodes, token, join, heads, addBlob } = await scene(t);
  assert.equal(await join(nodes[0], await token()), 'granted');
  // Its own question, and three of the proof: without a token, with a broken one, and once more with this one.
  assert.equal(heads(), 4);
  const before = registry.requests.length;
  for (const node of nodes) assert.equal(await join(node, await token()), 'granted');
  assert.equal(registry.requests.length, before);
  const second = addBlob();
  for (const node of nodes) assert.equal(await join(node, await token({ key: 'kid' }), second), 'granted');
  assert.equal(heads(second), 1);
  assert.equal(registry.requests.length, before + 1);
});

test('with the keys configured, nodes that come all at once cost the registry one question', async (t) => {
  const { registry, nodes, token, join, heads } = await scene(t, { isConfigured: true });
  const tokens = await Promise.all(nodes.map(() => token({ key: 'kid' })));
  const verdicts = await Promise.all(nodes.map((node, index) => join(node, tokens[index] ?? '')));
  assert.deepEqual(new Set(verdicts), new Set(['granted']));
  assert.equal(heads(), 1);
  // The other one asked for the registry's name for itself.
  assert.deepEqual(registry.requests.filter(({ path }) => path === '/v2/').length, 1);
});

test('opaque tokens and Basic are asked for, each credential once', async (t) => {
  const opaque = await scene(t, { isConfigured: true, nodes: 3 });
  for (const node of opaque.nodes)
    assert.equal(await opaque.join(node, await opaque.token({ form: 'opaque' })), 'granted');
  assert.equal(opaque.heads(), 3);
  const basic = await scene(t, { auth: 'basic', nodes: 3 });
  for (const [index, node] of basic.nodes.entries()) {
    const user = { username: `user-${index}`, password: randomUUID() };
    basic.registry.tokens.addUser(user.username, user.password, [REPOSITORY]);
    assert.equal(await basic.join(node, basicAuthorization(user)), 'granted');
  }
  assert.equal(basic.heads(), 3);
});

test('a verified token opens nothing that the registry has not confirmed in its repository', async (t) => {
  const { registry, nodes, token, join, heads, digest } = await scene(t, { isConfigured: true });
  await join(nodes[0], await token());
  const secret = registry.addBlob('team/secret', Buffer.from(randomUUID()));
  assert.equal(await join(nodes[1], await token({ repositories: ['team/secret'] }), secret, 'team/secret'), 'granted');
  const asked = heads(secret);
  assert.equal(await join(nodes[2], await token(), secret, 'team/secret'), 'denied', 'a token for another repository');
  assert.equal(await join(nodes[2], await token(), secret, REPOSITORY), 'denied', 'a blob that is not in it');
  assert.equal(heads(secret), asked + 2, 'both were for the registry to refuse');
  const stranger = await token({ repositories: ['team/other'], subject: 'mallory' });
  assert.equal(await join(nodes[3], stranger, digest), 'denied');
});

test('a token that cannot be verified is never denied by us alone', async (t) => {
  const { registry, nodes, token, join, heads } = await scene(t);
  await join(nodes[0], await token());
  const asked = heads();
  const ended = await token({ lifeSeconds: -120 });
  assert.equal(await join(nodes[1], ended), 'denied');
  assert.equal(heads(), asked + 1);
  // A registry that takes what we cannot judge.
  const odd = await token({ form: 'opaque' });
  assert.equal(await join(nodes[2], odd), 'granted');
  assert.equal(heads(), asked + 2);
  assert.ok(registry.requests.some(({ headers }) => headers.authorization === `Bearer ${ended}`));
});

test('the registry is asked again when its word on a blob is ten minutes old', async (t) => {
  const { cluster, nodes, token, join, heads } = await scene(t, { isConfigured: true, nodes: 2 });
  // Clocks stand ten minutes apart afterwards, so the tokens must have begun by then and not ended.
  const tokens = await Promise.all([0, 1, 2].map(() => token({ lifeSeconds: 3_600 })));
  await join(nodes[0], tokens[0] ?? '');
  cluster.clock.offsetMs = PAIR_TTL_MS - 1_000;
  await join(nodes[1], tokens[1] ?? '');
  assert.equal(heads(), 1);
  cluster.clock.offsetMs = PAIR_TTL_MS + 1_000;
  await join(nodes[1], tokens[2] ?? '');
  assert.equal(heads(), 2);
});

test('a registry without authentication teaches nothing, and is asked for each credential', async (t) => {
  const { nodes, token, join, heads, cluster } = await scene(t, { auth: 'anonymous', nodes: 2 });
  for (const node of nodes) assert.equal(await join(node, await token()), 'granted');
  assert.equal(heads(), 2);
  assert.ok(!cluster.logLines.some((line) => line.includes('registry_key_pinned')));
});

test('a key that the registry no longer believes is dropped at its first refusal', async (t) => {
  const { registry, nodes, token, join, addBlob } = await scene(t, { nodes: 2 });
  await join(nodes[0], await token());
  const revoked = await token();
  registry.tokens.revoke(revoked);
  assert.equal(await join(nodes[1], revoked, addBlob()), 'denied');
  assert.equal(await join(nodes[1], revoked), 'denied', 'the earlier proof of the blob does not help it any more');
});
