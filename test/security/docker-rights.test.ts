import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { blobTraffic } from '../testbed/access-log.ts';
import { Cluster, type DockerNode } from '../testbed/cluster.ts';
import type { Dockerd } from '../testbed/docker.ts';
import { pullByApi } from '../testbed/engine-api.ts';
import { assertNoLeaks } from '../testbed/find-leaks.ts';
import type { Image, ImageBlob } from '../testbed/image.ts';
import { type ProbeAnswer, probe } from '../testbed/probe.ts';
import { PROXY_ADDRESS } from '../testbed/sealift.ts';
import { missingForTestbed } from '../testbed/support.ts';

const MIB = 1024 * 1024;
const REGISTRY = 'https://registry.test:5000';
const PRIVATE = 'team-a/app';
const PULL_TIMEOUT_MS = 30_000;

suite('the right to a blob that lies in every cache', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let image: Image;
  let nodes: DockerNode[];
  let plain: Dockerd;

  before(async () => {
    cluster = await Cluster.start({ hosts: ['n1', 'n2', 'plain'] });
    image = await cluster.publish(PRIVATE, { seed: 'private', layerBytes: [5 * MIB, 100_000] });
    await cluster.publish('team-b/app', { seed: 'team-b', layerBytes: [100_000] });
    plain = await cluster.startPlainDocker('plain');
    nodes = await Promise.all(['n1', 'n2'].map((name) => cluster.startNode(name)));
    for (const { docker } of nodes) {
      await cluster.login(docker, 'alice');
      await docker.runOrThrow(['pull', `registry.test:5000/${PRIVATE}:1`], { user: 'alice' });
      await docker.forget(`registry.test:5000/${PRIVATE}:1`);
    }
  });
  after(() => cluster?.stop());

  const firstNode = (): DockerNode => {
    const [node] = nodes;
    assert.ok(node);
    return node;
  };
  /** The blob that all attacks are after: in the store of the node that is asked, of its peer and of the seeder. */
  const treasure = (): ImageBlob => {
    const blob = image.layers[1];
    assert.ok(blob);
    return blob;
  };
  const pathOf = (repository: string) => `/v2/${repository}/blobs/${treasure().digest}`;

  async function throughNode(
    path: string,
    o: { token?: string; method?: string; headers?: Record<string, string> } = {},
  ): Promise<ProbeAnswer> {
    const { host } = firstNode().sealift;
    const headers = { ...o.headers, ...bearer(o.token) };
    const trust = await cluster.trustOf('n1');
    return await probe(host, {
      url: `${REGISTRY}${path}`,
      method: o.method ?? 'GET',
      headers,
      trust,
      proxy: PROXY_ADDRESS,
    });
  }

  async function directly(path: string, { token }: { token?: string } = {}): Promise<ProbeAnswer> {
    const trust = [cluster.authority.certificate];
    return await probe(plain.host, { url: `${REGISTRY}${path}`, headers: bearer(token), trust });
  }

  function assertRefusedLike(answer: ProbeAnswer, original: ProbeAnswer): void {
    assert.equal(answer.status, original.status);
    assert.equal(answer.text, original.text);
    assert.equal(answer.headers['www-authenticate'], original.headers['www-authenticate']);
    assert.ok(answer.bytes < 1024, `${answer.bytes} bytes of body`);
  }

  test('a pull without credentials gets the refusal of the registry', async () => {
    const args = ['pull', `registry.test:5000/${PRIVATE}:1`];
    const refused = await firstNode().docker.run(args);
    assert.notEqual(refused.code, 0);
    assert.equal(refused.stderr, (await plain.run(args)).stderr);
  });

  test('a pull with credentials for another repository gets the refusal of the registry', async () => {
    const args = ['pull', `registry.test:5000/${PRIVATE}:1`];
    for (const docker of [firstNode().docker, plain]) await cluster.login(docker, 'bob');
    const refused = await firstNode().docker.run(args, { user: 'bob' });
    assert.notEqual(refused.code, 0);
    assert.equal(refused.stderr, (await plain.run(args, { user: 'bob' })).stderr);
  });

  test('a pull with an expired token gets the refusal of the registry', async () => {
    const pull = (docker: Dockerd) =>
      pullByApi(docker.socket, {
        image: `registry.test:5000/${PRIVATE}`,
        tag: '1',
        // The registry allows a minute of leeway.
        registryToken: cluster.mint('alice', PRIVATE, { expiresInSeconds: -120 }),
        signal: AbortSignal.timeout(PULL_TIMEOUT_MS),
      });
    const refused = await pull(firstNode().docker);
    assert.notEqual(refused.error, undefined);
    assert.deepEqual(refused, await pull(plain));
  });

  test('its holder gets the blob from the cache, so the refusals are not for want of it', async () => {
    const before = blobTraffic(await cluster.registry.requests());
    const answer = await throughNode(pathOf(PRIVATE), { token: cluster.mint('alice', PRIVATE) });
    assert.equal(answer.status, 200);
    assert.equal(answer.digest, treasure().digest);
    assert.deepEqual(blobTraffic(await cluster.registry.requests()), before);
  });

  test('asking for the blob itself without a right gets the refusal of the registry', async () => {
    const tokens = {
      none: undefined,
      'of another repository': cluster.mint('bob', 'team-b/app'),
      expired: cluster.mint('alice', PRIVATE, { expiresInSeconds: -120 }),
      forged: forge(cluster.mint('bob', 'team-b/app'), PRIVATE),
    };
    for (const token of Object.values(tokens)) {
      const credentials = token === undefined ? {} : { token };
      const original = await directly(pathOf(PRIVATE), credentials);
      assert.equal(original.status, 401);
      assertRefusedLike(await throughNode(pathOf(PRIVATE), credentials), original);
    }
  });

  test('a range of the blob is refused as the whole is', async () => {
    const answer = await throughNode(pathOf(PRIVATE), { headers: { range: 'bytes=0-99' } });
    assertRefusedLike(answer, await directly(pathOf(PRIVATE)));
  });

  test('the right to one repository does not give a blob that only another one holds', async () => {
    const token = cluster.mint('bob', 'team-b/app');
    const original = await directly(pathOf('team-b/app'), { token });
    assert.equal(original.status, 404);
    assertRefusedLike(await throughNode(pathOf('team-b/app'), { token }), original);
    const head = await throughNode(pathOf('team-b/app'), { token, method: 'HEAD' });
    assert.equal(head.status, 404);
  });

  test('the mirror on the same port asks for the right as well', async () => {
    const { host } = firstNode().sealift;
    const query = '?ns=registry.test%3A5000';
    const ask = (path: string, token?: string) =>
      probe(host, { url: `http://${PROXY_ADDRESS}${path}${query}`, headers: bearer(token), trust: [] });
    assert.equal((await ask(pathOf(PRIVATE))).status, 401);
    assert.equal((await ask(pathOf('team-b/app'), cluster.mint('bob', 'team-b/app'))).status, 404);
    const allowed = await ask(pathOf(PRIVATE), cluster.mint('alice', PRIVATE));
    assert.equal(allowed.digest, treasure().digest);
  });

  test('no secret is in the logs, files, arguments or environment of tracker and nodes', async (t) => {
    await assertNoLeaks(cluster, nodes, { list: (what) => t.diagnostic(what) });
  });
});

function bearer(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}

/** The token with its access changed and its signature left: what anyone can make of a token of their own. */
function forge(token: string, repository: string): string {
  const [header, claims = '', signature] = token.split('.');
  const changed = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { access: { name: string }[] };
  for (const access of changed.access) access.name = repository;
  return `${header}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}.${signature}`;
}
