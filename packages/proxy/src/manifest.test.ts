import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Digest } from '@sealift/core';
import { FakeRegistry } from '@sealift/testkit';
import type { ManifestSource, UnverifiedManifest } from './ports.ts';
import { ask, askRegistry, startProxy, tlsThrough } from './proxy.fixture.ts';
import type { ProxyServerOptions } from './proxy-server.ts';

const TYPE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = Buffer.from('{"schemaVersion":2}');
const BY_TAG = '/v2/team/app/manifests/1';

/** A registry with one manifest, and a proxy whose cluster has what the test puts there. */
async function setUp(
  t: TestContext,
  options: Partial<ProxyServerOptions> = {},
  auth: 'anonymous' | 'bearer' = 'anonymous',
) {
  const registry = new FakeRegistry({ auth });
  await registry.start();
  t.after(() => registry.stop());
  const digest = registry.addManifest('team/app', '1', MANIFEST, TYPE);
  const asked: Parameters<ManifestSource['fetch']>[0][] = [];
  const cluster = {
    answer: async (): Promise<UnverifiedManifest | undefined> => ({ bytes: MANIFEST, mediaType: TYPE }),
  };
  const manifests: ManifestSource = {
    fetch: async (request) => {
      asked.push(request);
      return await cluster.answer();
    },
  };
  const proxy = await startProxy(t, { registries: [registry.config], manifests, ...options });
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    askRegistry(t, proxy, registry.host, { path, method, headers: { accept: `a/b, ${TYPE}`, ...headers } });
  /** GETs and HEADs at the registry, whatever they were for. */
  const seen = (): string[] => registry.requests.map(({ method, path }) => `${method} ${path}`);
  return { registry, digest, asked, cluster, get, seen, proxy };
}

const byDigest = (digest: Digest): string => `/v2/team/app/manifests/${digest}`;

test('a manifest by its digest comes from the cluster, with the head that the registry would send', async (t) => {
  const { digest, asked, get, seen, registry } = await setUp(t);
  const answer = await get(byDigest(digest), { authorization: 'Bearer a' });
  assert.deepEqual([answer.status, answer.body], [200, MANIFEST]);
  const { 'content-type': type, 'content-length': length, 'docker-content-digest': named } = answer.headers;
  assert.deepEqual([type, length, named], [TYPE, String(MANIFEST.length), digest]);
  assert.deepEqual(seen(), []);
  const manifest = { registry: registry.host, repository: 'team/app', digest };
  assert.deepEqual(asked, [{ manifest, authorization: 'Bearer a' }]);
});

test('what a tag stands for is asked of the registry each time, and the bytes come from the cluster', async (t) => {
  const { registry, digest, cluster, get, seen } = await setUp(t);
  for (let count = 1; count <= 2; count += 1) {
    const answer = await get(BY_TAG);
    assert.deepEqual([answer.status, answer.headers['docker-content-digest'], answer.body], [200, digest, MANIFEST]);
    assert.deepEqual(
      seen(),
      Array.from({ length: count }, () => `HEAD ${BY_TAG}`),
    );
  }
  const other = Buffer.from('{"schemaVersion":2,"new":true}');
  registry.addManifest('team/app', '1', other, TYPE);
  cluster.answer = async () => ({ bytes: other, mediaType: TYPE });
  assert.deepEqual((await get(BY_TAG)).body, other);
});

test('the mirror endpoint does the same, and names the registry as the Host', async (t) => {
  const { registry, proxy, seen } = await setUp(t);
  const path = `${BY_TAG}?ns=${encodeURIComponent(registry.host)}`;
  const answer = await fetch(`http://127.0.0.1:${proxy.port}${path}`, { headers: { accept: TYPE } });
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), MANIFEST);
  assert.deepEqual(seen(), [`HEAD ${BY_TAG}`]);
  assert.equal(registry.requests[0]?.headers.host, registry.host);
});

test('the registry’s own refusal of a tag reaches the runtime, and the cluster is not asked', async (t) => {
  const { registry, asked, get } = await setUp(t, {}, 'bearer');
  const answer = await get(BY_TAG, { authorization: 'Bearer forged' });
  assert.equal(answer.status, 401);
  assert.match(answer.headers['www-authenticate'] ?? '', /realm=/);
  assert.equal(registry.counts('1').gets, 1);
  assert.deepEqual(asked, []);
});

test('bytes that do not match the digest, and another type than the registry’s, never reach the runtime', async (t) => {
  const { registry, digest, cluster, get } = await setUp(t);
  const accept = `${TYPE}, ${INDEX_TYPE}`;
  const wrong: [UnverifiedManifest, string[]][] = [
    [{ bytes: Buffer.from('{"schemaVersion":2,"evil":true}'), mediaType: TYPE }, [BY_TAG, byDigest(digest)]],
    [{ bytes: MANIFEST, mediaType: 'text/html' }, [BY_TAG, byDigest(digest)]],
    [{ bytes: MANIFEST, mediaType: INDEX_TYPE }, [BY_TAG]],
  ];
  let count = 0;
  for (const [manifest, paths] of wrong) {
    cluster.answer = async () => manifest;
    for (const path of paths) {
      const answer = await get(path, { accept });
      assert.deepEqual([answer.status, answer.headers['content-type'], answer.body], [200, TYPE, MANIFEST]);
      count += 1;
      assert.equal(registry.counts('1').gets + registry.counts(digest).gets, count);
    }
  }
});

test('a cluster that has nothing, fails, or hangs costs a moment and not the pull', async (t) => {
  const { digest, cluster, get, registry } = await setUp(t, { limits: { manifestTimeoutMs: 100 } });
  const answers: (typeof cluster.answer)[] = [
    async () => undefined,
    () => Promise.reject(new Error('the engine has ended')),
    () => new Promise(() => {}),
  ];
  for (const [index, answer] of answers.entries()) {
    cluster.answer = answer;
    assert.deepEqual((await get(byDigest(digest))).body, MANIFEST);
    assert.equal(registry.counts(digest).gets, index + 1);
  }
});

test('a registry that does not answer a HEAD, or not with a digest, is asked as the runtime asks', async (t) => {
  const { registry, get, asked } = await setUp(t, { limits: { manifestTimeoutMs: 200 } });
  const faults = [
    { kind: 'status', status: 405 },
    { kind: 'status', status: 503 },
    { kind: 'headers', headers: { 'docker-content-digest': undefined } },
    { kind: 'headers', headers: { 'docker-content-digest': 'sha512:abc' } },
    { kind: 'headers', headers: { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' } },
    { kind: 'hang' },
  ] as const;
  for (const fault of faults) {
    registry.fail('1', fault, { method: 'HEAD' });
    assert.deepEqual((await get(BY_TAG)).body, MANIFEST);
  }
  assert.equal(registry.counts('1').gets, faults.length);
  assert.deepEqual(asked, []);
});

test('what is not a plain GET of a manifest of today’s types is the registry’s to answer', async (t) => {
  const { digest, get, asked, proxy, registry } = await setUp(t);
  const path = byDigest(digest);
  await get(path, {}, 'HEAD');
  await get(`${path}?x=1`);
  for (const headers of [{ range: 'bytes=0-1' }, { 'if-none-match': '"a"' }, { accept: '*/*' }, { accept: 'a/b' }]) {
    await get(path, headers as Record<string, string>);
  }
  await get(path, { accept: `${TYPE};q=0` });
  const two = ['Host', registry.host, 'Accept', TYPE, 'Authorization', 'Bearer a', 'Authorization', 'Bearer b'];
  const socket = await tlsThrough(t, proxy.port, { target: registry.host, ca: proxy.interceptCaPem });
  await ask(socket, { path, headers: two });
  assert.deepEqual(asked, []);
});

test('where somebody learns from what the registry accepts, it is asked for digests too', async (t) => {
  const accepted: string[] = [];
  const { registry, digest, get, seen } = await setUp(
    t,
    { onAccepted: ({ path, authorization }) => accepted.push(`${authorization} ${path}`) },
    'bearer',
  );
  const authorization = `Bearer ${await registry.tokens.issue({ repositories: ['team/app'] })}`;
  for (const path of [byDigest(digest), BY_TAG]) assert.deepEqual((await get(path, { authorization })).body, MANIFEST);
  assert.deepEqual(seen(), [`HEAD ${byDigest(digest)}`, `HEAD ${BY_TAG}`]);
  assert.deepEqual(accepted, [`${authorization} ${byDigest(digest)}`, `${authorization} ${BY_TAG}`]);
  assert.equal((await get(byDigest(digest), { authorization: 'Bearer forged' })).status, 401);
  assert.equal(accepted.length, 2);
});
