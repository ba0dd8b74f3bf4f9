import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { blobTraffic, manifestReads } from '../testbed/access-log.ts';
import { Cluster, type DockerNode } from '../testbed/cluster.ts';
import { assertNoLeaks } from '../testbed/find-leaks.ts';
import { buildImage, type Image, pushImage } from '../testbed/image.ts';
import { probe } from '../testbed/probe.ts';
import { Registry } from '../testbed/registry.ts';
import { PROXY_ADDRESS } from '../testbed/sealift.ts';
import { missingForTestbed } from '../testbed/support.ts';
import { UpstreamAuthority } from '../testbed/upstream-pki.ts';

const MIB = 1024 * 1024;
const NODES = ['n1', 'n2', 'n3'];
const APP = 'registry.test:5000/team-a/app:1';

suite('docker pull on three nodes', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let image: Image;
  let nodes: DockerNode[];

  before(async () => {
    cluster = await Cluster.start({ hosts: NODES });
    image = await cluster.publish('team-a/app', {
      seed: 'app',
      layerBytes: [48 * MIB, 6 * MIB, 200_000],
      isIndexed: true,
    });
    nodes = await Promise.all(NODES.map((name) => cluster.startNode(name)));
    for (const { docker } of nodes) await cluster.login(docker, 'alice');
  });
  after(() => cluster?.stop());

  const nodeAt = (index: number): DockerNode => {
    const node = nodes[index];
    assert.ok(node);
    return node;
  };

  test('three nodes that pull a private image at once cost the registry one read of each blob', async () => {
    await Promise.all(nodes.map(({ docker }) => docker.runOrThrow(['pull', APP], { user: 'alice' })));
    const traffic = blobTraffic(await cluster.registry.requests());
    const once = [image.config, ...image.layers].map(({ digest, size }) => [digest, { gets: 1, bytes: size }] as const);
    assert.deepEqual(traffic, new Map(once));
  });

  test('the index and the manifest were read once for all three, after a question for the tag by each', async () => {
    const requests = await cluster.registry.requests();
    assert.deepEqual(manifestReads(requests, 'GET'), new Map(image.manifests.map(({ digest }) => [digest, 1])));
    assert.equal(manifestReads(requests, 'HEAD').get('1'), NODES.length);
  });

  test('the bytes came from peers and the seeder, none from the registry', async () => {
    const size = image.layers.reduce((sum, layer) => sum + layer.size, 0);
    for (const { sealift } of nodes) {
      const { bytes } = await sealift.status();
      assert.equal(bytes.registry, 0);
      assert.ok(bytes.peers + bytes.cache >= size, `${bytes.peers} + ${bytes.cache} of ${size} bytes`);
    }
  });

  test('containers of the pulled image run on every node', async () => {
    for (const { docker } of nodes) {
      const printed = await docker.runOrThrow(['run', '--rm', '--network', 'host', APP, 'cat', '/etc/seed']);
      assert.equal(printed, 'app\n');
    }
  });

  test('a second pull on a node is served from its cache, without another read of the registry', async () => {
    const { docker } = nodeAt(0);
    await docker.forget(APP);
    const before = blobTraffic(await cluster.registry.requests());
    await docker.runOrThrow(['pull', APP], { user: 'alice' });
    assert.deepEqual(blobTraffic(await cluster.registry.requests()), before);
  });

  test('docker login through the proxy takes the right password and refuses a wrong one', async () => {
    const { docker } = nodeAt(1);
    const args = ['login', '-u', 'bob', '--password-stdin', cluster.registry.name];
    const wrong = await docker.run(args, { input: 'not the password' });
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stderr, /unauthorized: incorrect username or password/);
    await cluster.login(docker, 'bob');
  });

  test('an image pushed through one node is pulled through another', async () => {
    const [pusher, puller] = [nodeAt(1).docker, nodeAt(2).docker];
    const pushed = 'registry.test:5000/team-c/pushed:1';
    await cluster.login(pusher, 'ci');
    await cluster.login(puller, 'ci');
    await pusher.runOrThrow(['tag', APP, pushed]);
    await pusher.runOrThrow(['push', pushed], { user: 'ci' });
    await puller.forget(APP);
    await puller.runOrThrow(['pull', pushed], { user: 'ci' });
    assert.equal(await puller.runOrThrow(['run', '--rm', '--network', 'host', pushed, 'cat', '/etc/seed']), 'app\n');
  });

  test('a registry that is not configured is tunnelled, and dockerd sees its own certificate', async () => {
    const { host } = cluster.registry;
    const authority = await UpstreamAuthority.create(path.join(host.directory, 'other-pki'), 'Other Test CA');
    const tls = await authority.issue('other', { dnsNames: ['other.test'], addresses: [] });
    const at = { dnsName: 'other.test', port: 5443, tls, authority: authority.certificate };
    const other = await Registry.start(host, at);
    const small = await buildImage(path.join(host.directory, 'image-other'), { seed: 'other', layerBytes: [100_000] });
    await pushImage(host, { image: small, registry: other, repository: 'lib/other', authority: authority.certificate });
    // The one CA that dockerd believes for it: an intercepted connection would fail.
    await cluster.trust('n1', other.name, authority.certificate);
    const { docker, sealift } = nodeAt(0);
    const name = `${other.name}/lib/other:1`;
    await docker.runOrThrow(['pull', name]);
    assert.equal(await docker.runOrThrow(['run', '--rm', '--network', 'host', name, 'cat', '/etc/seed']), 'other\n');
    const trust = [authority.certificate];
    const seen = await probe(sealift.host, { url: `https://${other.name}/v2/`, trust, proxy: PROXY_ADDRESS });
    assert.equal(seen.certificate, new X509Certificate(await readFile(tls.certificate)).fingerprint256);
  });

  test('no secret is in the logs, files, arguments or environment of tracker and nodes', async (t) => {
    await assertNoLeaks(cluster, nodes, { list: (what) => t.diagnostic(what) });
  });
});
