import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { blobTraffic, manifestReads } from '../testbed/access-log.ts';
import { Cluster } from '../testbed/cluster.ts';
import type { Image } from '../testbed/image.ts';
import { missingForTestbed } from '../testbed/support.ts';

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7', 'n8'];
const TINY_LAYERS = 40;
const APP = 'registry.test:5000/team-a/app:1';

suite('an image of forty tiny layers on eight nodes', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let image: Image;

  before(async () => {
    cluster = await Cluster.start({ hosts: NODES });
    const layerBytes = Array.from({ length: TINY_LAYERS }, (_, index) => 500 + index);
    image = await cluster.publish('team-a/app', { seed: 'small', layerBytes, isIndexed: true });
    await Promise.all(NODES.map((name) => cluster.startLightNode(name)));
    // All at once, and nobody has anything of it.
    await Promise.all(NODES.map((name) => cluster.pullWithSkopeo(name, APP, { user: 'alice' })));
  });
  after(() => cluster?.stop());

  test('the registry gives each blob once, and not once to each node', async () => {
    const traffic = blobTraffic(await cluster.registry.requests());
    assert.equal(traffic.size, TINY_LAYERS + 2, 'the layers, the shell and the config');
    const once = [image.config, ...image.layers].map(({ digest, size }) => [digest, { gets: 1, bytes: size }] as const);
    assert.deepEqual(traffic, new Map(once));
  });

  test('it gives each manifest once, and each node asks it what the tag stands for', async () => {
    const requests = await cluster.registry.requests();
    assert.deepEqual(manifestReads(requests, 'GET'), new Map(image.manifests.map(({ digest }) => [digest, 1])));
    assert.equal(manifestReads(requests, 'HEAD').get('1'), NODES.length);
  });
});
