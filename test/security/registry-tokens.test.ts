import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { after, before, suite, test } from 'node:test';
import { type AccessLogEntry, blobTraffic } from '../testbed/access-log.ts';
import { Cluster, type DockerNode } from '../testbed/cluster.ts';
import { assertNoLeaks } from '../testbed/find-leaks.ts';
import type { Image } from '../testbed/image.ts';
import { probe } from '../testbed/probe.ts';
import { PROXY_ADDRESS } from '../testbed/sealift.ts';
import { missingForTestbed } from '../testbed/support.ts';

const MIB = 1024 * 1024;
const REPOSITORY = 'team-a/app';
const IMAGE = `registry.test:5000/${REPOSITORY}:1`;
const CHECKED = { flags: ['--token-check', 'registry'] };

// The registry is Debian's docker-registry: it judges tokens by itself, and its access log counts what it was asked.
suite('registry tokens: judged without the registry, and demanded by peers', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let image: Image;
  let nodes: DockerNode[];

  before(async () => {
    cluster = await Cluster.start({ hosts: ['n1', 'n2', 'n3'], tracker: CHECKED });
    image = await cluster.publish(REPOSITORY, { seed: 'checked', layerBytes: [5 * MIB, 100_000] });
    nodes = await Promise.all(['n1', 'n2', 'n3'].map((name) => cluster.startNode(name, CHECKED)));
  });
  after(() => cluster?.stop());

  const node = (index: number): DockerNode => {
    const found = nodes[index];
    assert.ok(found);
    return found;
  };
  const pull = async (index: number): Promise<void> => {
    const { docker } = node(index);
    await cluster.login(docker, 'alice');
    await docker.runOrThrow(['pull', IMAGE], { user: 'alice' });
  };
  const isBlobHead = ({ method, path }: AccessLogEntry) => method === 'HEAD' && path.includes('/blobs/sha256:');
  const blobHeads = async () => (await cluster.registry.requests()).filter(isBlobHead);

  test('a forged token that a local process shows to the proxy teaches the node nothing', async () => {
    const { sealift } = node(0);
    const forged = forgedToken();
    for (const path of ['manifests/1', `blobs/${image.layers[0]?.digest}`]) {
      const answer = await probe(sealift.host, {
        url: `https://registry.test:5000/v2/${REPOSITORY}/${path}`,
        headers: { authorization: `Bearer ${forged}` },
        trust: await cluster.trustOf('n1'),
        proxy: PROXY_ADDRESS,
      });
      assert.equal(answer.status, 401);
    }
    assert.ok(!sealift.service.lines.some((line) => line.includes('registry_key_pinned')));
    assert.ok(!cluster.tracker.service.lines.some((line) => line.includes('registry_key_pinned')));
  });

  test('the first node to pull proves the key, to the tracker and to itself', async () => {
    await pull(0);
    await cluster.tracker.service.waitForEvent('registry_key_pinned');
    await node(0).sealift.service.waitForEvent('registry_key_pinned');
  });

  test('the next nodes pull with tokens of their own, and the registry is asked about no blob any more', async () => {
    const before = await blobHeads();
    await Promise.all([pull(1), pull(2)]);
    assert.deepEqual(await blobHeads(), before);
    const traffic = blobTraffic(await cluster.registry.requests());
    for (const { digest } of [image.config, ...image.layers]) assert.equal(traffic.get(digest)?.gets, 1);
    for (const index of [1, 2]) {
      const { bytes } = await node(index).sealift.status();
      assert.equal(bytes.registry, 0, JSON.stringify(bytes));
      assert.ok(bytes.peers > 5 * MIB, 'blocks came from peers that had judged its token');
    }
  });

  test('no token is in the logs, files, arguments or environment of tracker and nodes', async (t) => {
    await assertNoLeaks(cluster, nodes, { list: (what) => t.diagnostic(what) });
  });
});

/** A token for the image that carries its own key, signed with it: good in all but whose key it is. */
function forgedToken(): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const now = Math.floor(Date.now() / 1000);
  const access = [{ type: 'repository', name: REPOSITORY, actions: ['pull'] }];
  const claims = { iss: 'sl-issuer', sub: 'alice', aud: 'sl-registry', iat: now, nbf: now - 5, exp: now + 300, access };
  const header = { typ: 'JWT', alg: 'ES256', jwk: publicKey.export({ format: 'jwk' }) };
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}
