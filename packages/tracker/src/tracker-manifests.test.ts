import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type Digest, parseDigest, parseRepository } from '@sealift/core';
import { type TestNode, TestTracker } from './tracker.fixture.ts';

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const cluster = new TestTracker();
const { registry } = cluster;
let count = 0;

before(() => cluster.start());
after(() => cluster.stop());

/** A manifest of its own for each test. */
function newManifest(repository = 'team/app', mediaType = OCI_MANIFEST): Digest {
  count += 1;
  return registry.addManifest(repository, `tag-${count}`, { schemaVersion: 2, count }, mediaType);
}

const tokenFor = async (...repositories: string[]): Promise<string> =>
  `Bearer ${await registry.tokens.issue({ repositories })}`;

async function ask(node: TestNode, digest: Digest, authorization: string | undefined, repository = 'team/app') {
  const body = {
    registry: registry.host,
    repository,
    digest,
    ...(authorization === undefined ? {} : { authorization }),
  };
  return await node.client.manifest(body, { signal: AbortSignal.timeout(10_000) });
}

test('twelve who ask at once cost the registry one GET, and each credential is asked about', async () => {
  const [one, two] = [await cluster.enrol(), await cluster.enrol()];
  const digest = newManifest();
  // Opaque ones: a token that can be judged is not asked about.
  const credentials = await Promise.all(
    Array.from(
      { length: 12 },
      async () => `Bearer ${await registry.tokens.issue({ repositories: ['team/app'], form: 'opaque' })}`,
    ),
  );
  const answers = await Promise.all(credentials.map((header, index) => ask(index % 2 ? one : two, digest, header)));
  for (const answer of answers) {
    assert.ok(answer.verdict === 'granted');
    assert.equal(answer.mediaType, OCI_MANIFEST);
    const sha256 = createHash('sha256').update(Buffer.from(answer.bytes, 'base64')).digest('hex');
    assert.equal(`sha256:${sha256}`, digest);
  }
  assert.deepEqual([registry.counts(digest).gets, registry.counts(digest).heads], [1, 12]);
});

test('who may not pull gets nothing of a manifest that is known, and leaves a trace', async () => {
  const node = await cluster.enrol();
  const digest = newManifest();
  assert.equal((await ask(node, digest, await tokenFor('team/app'))).verdict, 'granted');
  for (const header of [undefined, 'Bearer forged', await tokenFor('other/app')]) {
    assert.deepEqual(Object.keys(await ask(node, digest, header)).sort(), ['reason', 'verdict']);
  }
  assert.equal((await ask(node, digest, await tokenFor('other/app'), 'other/app')).verdict, 'denied');
  const audit = await cluster.auditText();
  assert.ok(audit.includes('"manifest_served"') && audit.includes('"manifest_refused"'));
});

test('a manifest is read while the registry is asked for the right to it, and goes nowhere without one', async () => {
  const [node, other] = [await cluster.enrol(), await cluster.enrol()];
  const digest = newManifest();
  registry.fail(digest, { kind: 'hang' }, { method: 'HEAD' });
  const answer = ask(node, digest, await tokenFor('team/app'));
  await registry.received('GET', digest);
  await registry.received('HEAD', digest);
  const opaque = `Bearer ${await registry.tokens.issue({ repositories: ['team/app'], form: 'opaque' })}`;
  assert.equal((await ask(other, digest, opaque)).verdict, 'granted', 'by its own right, of what the first has read');
  const foreign = await ask(other, digest, await tokenFor('other/app'));
  assert.deepEqual([foreign.verdict, 'bytes' in foreign], ['denied', false]);
  registry.cutConnections();
  assert.equal((await answer).verdict, 'granted', 'the HEAD is sent again after the cut');
  assert.equal(registry.counts(digest).gets, 1);
});

test('what somebody without a right has begun to read holds nobody up who has one', async () => {
  const [node, stranger] = [await cluster.enrol(), await cluster.enrol()];
  const digest = newManifest();
  registry.fail(digest, { kind: 'hang' }, { method: 'GET' });
  registry.fail(digest, { kind: 'hang' }, { method: 'HEAD' });
  const held = ask(stranger, digest, 'Bearer forged');
  await registry.received('GET', digest);
  await registry.received('HEAD', digest);
  assert.equal((await ask(node, digest, await tokenFor('team/app'))).verdict, 'granted');
  registry.cutConnections();
  assert.equal((await held).verdict, 'denied');
});

test('a right to a blob is none to a manifest, though the digest is the same', async () => {
  const node = await cluster.enrol();
  const bytes = Buffer.from('{"schemaVersion":2,"both":true}');
  const header = await tokenFor('team/app');
  const digest = registry.addBlob('team/app', bytes);
  const join = {
    registry: registry.host,
    repository: 'team/app',
    digest,
    authorization: header,
    intent: 'check',
  } as const;
  assert.equal((await node.client.join(join, { signal: AbortSignal.timeout(10_000) })).verdict, 'granted');
  assert.equal((await ask(node, digest, header)).verdict, 'denied');
});

test('what does not match its digest is neither kept nor handed on, and a true one is read after it', async () => {
  const node = await cluster.enrol();
  const digest = newManifest();
  registry.fail(digest, { kind: 'wrong-bytes' }, { method: 'GET' });
  const header = await tokenFor('team/app');
  assert.equal((await ask(node, digest, header)).verdict, 'unavailable');
  assert.equal((await ask(node, digest, header)).verdict, 'granted');
  assert.equal(registry.counts(digest).gets, 2);
});

test('a type that is none of a manifest, and a manifest that is too long, pass through', async () => {
  const node = await cluster.enrol();
  const header = await tokenFor('team/app');
  assert.equal((await ask(node, newManifest('team/app', 'text/plain'), header)).verdict, 'unavailable');
  const long = registry.addManifest('team/app', 'long', Buffer.alloc(512 * 1024 + 1, ' '), OCI_MANIFEST);
  assert.equal((await ask(node, long, header)).verdict, 'unavailable');
});

test('who read it first may lose the right meanwhile: it is read with the credentials of the next', async () => {
  const node = await cluster.enrol();
  const digest = newManifest();
  registry.fail(digest, { kind: 'status', status: 401 }, { method: 'GET' });
  const [first, second] = await Promise.all([tokenFor('team/app'), tokenFor('team/app')]);
  const verdicts = (await Promise.all([ask(node, digest, first), ask(node, digest, second)])).map(
    ({ verdict }) => verdict,
  );
  assert.ok(verdicts.includes('granted'), verdicts.join());
});

test('after a revocation the registry is asked anew, and its no stands', async () => {
  const node = await cluster.enrol();
  const digest = newManifest();
  const token = await registry.tokens.issue({ repositories: ['team/app'], form: 'opaque' });
  assert.equal((await ask(node, digest, `Bearer ${token}`)).verdict, 'granted');
  registry.tokens.revoke(token);
  // The verdict is remembered for a minute.
  assert.equal((await ask(node, digest, `Bearer ${token}`)).verdict, 'granted');
  cluster.state.revocations.revoke({ registry: registry.host, repository: parseRepository('team/app') });
  cluster.clock.offsetMs += 1_000;
  assert.equal((await ask(node, digest, `Bearer ${token}`)).verdict, 'denied');
});

test('a denied node, a node without a certificate and a registry that is not configured get nothing', async () => {
  const node = await cluster.enrol();
  const digest = newManifest();
  const header = await tokenFor('team/app');
  const elsewhere = { registry: '169.254.169.254', repository: 'team/app', digest, authorization: header };
  const signal = AbortSignal.timeout(10_000);
  await assert.rejects(node.client.manifest(elsewhere, { signal }), {
    details: { status: 403, code: 'REGISTRY_UNKNOWN' },
  });
  const stranger = cluster.client(cluster.agent());
  const body = { registry: registry.host, repository: 'team/app', digest, authorization: header };
  await assert.rejects(stranger.manifest(body, { signal }), { details: { status: 401, code: 'CERT_REQUIRED' } });
  cluster.state.denyList.deny(node.nodeId);
  await assert.rejects(node.client.manifest(body, { signal }), { details: { status: 403, code: 'NODE_DENIED' } });
});

test('a manifest that the registry does not have is denied', async () => {
  const node = await cluster.enrol();
  const digest = parseDigest(`sha256:${'0'.repeat(64)}`);
  assert.equal((await ask(node, digest, await tokenFor('team/app'))).verdict, 'denied');
});
