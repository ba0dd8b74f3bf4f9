import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { blobTraffic, manifestReads } from '../testbed/access-log.ts';
import { Cluster } from '../testbed/cluster.ts';
import type { Image } from '../testbed/image.ts';
import type { NodeProcess } from '../testbed/sealift.ts';
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

  test('a preheat has the seeder read each blob and manifest once, and tells when it is done', async () => {
    const { tracker, tokenFile } = cluster.joinToken;
    const flags = ['--tracker', tracker, '--join-token-file', tokenFile];
    const lines = await cluster.preheat('tracker', APP, { user: 'alice', flags });
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
