import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { blobTraffic, manifestReads } from '../testbed/access-log.ts';
import { Cluster, linesOf } from '../testbed/cluster.ts';
import { documentedBlocks } from '../testbed/documented-commands.ts';
import type { Image } from '../testbed/image.ts';
import { type NodeProcess, sealift } from '../testbed/sealift.ts';
import { missingForTestbed } from '../testbed/support.ts';

const MIB = 1024 * 1024;
const APP = 'registry.test:5000/team-a/app:1';
const BIG = 'registry.test:5000/team-a/big:1';

suite('a preheated image, from a registry that wants a client certificate', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let app: Image;
  let big: Image;
  let n2: NodeProcess;

  before(async () => {
    cluster = await Cluster.start({ hosts: ['n1', 'n2', 'bare'], wantsClientCertificate: true });
    app = await cluster.publish('team-a/app', { seed: 'app', layerBytes: [5 * MIB, 300, 200_000], isIndexed: true });
    big = await cluster.publish('team-a/big', { seed: 'big', layerBytes: [3 * MIB] });
    [, n2] = await Promise.all([
      cluster.startLightNode('n1'),
      cluster.startLightNode('n2'),
      cluster.startLightNode('bare', { hasClientCertificate: false }),
    ]);
  });
  after(() => cluster?.stop());

  /** What the registry has given of an image: GETs of its blobs and of its manifests. */
  const readsOf = async ({ config, layers, manifests }: Image): Promise<{ blobs: number[]; manifests: number[] }> => {
    const requests = await cluster.registry.requests();
    const [blobs, gets] = [blobTraffic(requests), manifestReads(requests, 'GET')];
    return {
      blobs: [config, ...layers].map(({ digest }) => blobs.get(digest)?.gets ?? 0),
      manifests: manifests.map(({ digest }) => gets.get(digest) ?? 0),
    };
  };
  const once = ({ layers, manifests }: Image) => ({
    blobs: Array.from({ length: layers.length + 1 }, () => 1),
    manifests: manifests.map(() => 1),
  });

  /** Runs what docs/operations.md tells to type, with the names of this cluster. */
  const preheatAsDocumented = async (): Promise<Record<string, unknown>[]> => {
    const host = cluster.testbed.network.host('tracker');
    const [block = ''] = await documentedBlocks('operations.md', '## Bring an image in before it is pulled');
    const { tracker, tokenFile } = cluster.joinToken;
    await writeFile(path.join(host.directory, 'join-token'), await readFile(tokenFile), { mode: 0o600 });
    const login = `alice:${cluster.tokens.user('alice').password}\n`;
    await writeFile(path.join(host.directory, 'registry-login'), login, { mode: 0o600 });
    const command = block
      .replace('registry.example/team/app:1.4', APP)
      .replace(/https:\/\/tracker\.example:7443[^']*/, tracker)
      .replace('linux/amd64', `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`);
    const words = sealift().map((word) => `'${word}'`);
    const script = `cd '${host.directory}'; sealift() { ${words.join(' ')} "$@"; }\n${command}`;
    const { name, authority } = cluster.upstream;
    const certificates = path.join(cluster.testbed.directory, 'registry-certs');
    const env = { SEALIFT_REGISTRY_CA: `${name}=${authority}`, SEALIFT_REGISTRY_CERTS: certificates };
    return linesOf(await host.runOrThrow(['bash', '-euc', script], { env }));
  };

  test('a preheat has the seeder read each blob and manifest once, and tells when it is done', async () => {
    const lines = await preheatAsDocumented();
    const bytes = [app.config, ...app.layers].reduce((sum, { size }) => sum + size, 0);
    assert.equal(lines[0]?.['digest'], app.manifests[0]?.digest);
    assert.deepEqual(lines.at(-1), { event: 'done', target: 'seeder', blobs: app.layers.length + 1, bytes });
    assert.deepEqual(await readsOf(app), once(app));
  });

  test('nodes that pull it afterwards cost the registry no GET of a blob or manifest', async () => {
    await Promise.all(['n1', 'n2'].map((name) => cluster.pullWithSkopeo(name, APP, { user: 'alice' })));
    assert.deepEqual(await readsOf(app), once(app));
  });

  test('with --nodes a node has it in its store, from peers, before anybody pulls', async () => {
    const before = await n2.status();
    await cluster.preheat('n2', BIG, { user: 'alice', flags: ['--nodes', '127.0.0.1:3128'] });
    assert.deepEqual(await readsOf(big), once(big));
    const { bytes } = await n2.status();
    assert.ok(bytes.peers - before.bytes.peers >= 3 * MIB);
    assert.equal(bytes.registry, 0);
  });

  test('who may not pull an image may not preheat it', async () => {
    const { tracker, tokenFile } = cluster.joinToken;
    const flags = ['--tracker', tracker, '--join-token-file', tokenFile];
    await assert.rejects(cluster.preheat('tracker', APP, { user: 'bob', flags }), /refused/);
  });

  test('a node without the client certificate gets nothing of this registry', async () => {
    await assert.rejects(cluster.pullWithSkopeo('bare', APP, { user: 'alice' }));
  });
});
