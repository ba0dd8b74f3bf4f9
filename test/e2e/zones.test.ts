import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Cluster } from '../testbed/cluster.ts';
import type { ImageBlob } from '../testbed/image.ts';
import { missingForTestbed } from '../testbed/support.ts';

const MIB = 1024 * 1024;
/** The link between the sites, in Mbit/s; everything else is a hundred times faster. */
const CROSS_MEGABITS = 40;
const LAYER_BYTES = 24 * MIB;
const WEST = ['w1', 'w2', 'w3', 'w4'];
const EAST = ['e1', 'e2'];

suite('two sites with a slow link between them', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let layer: ImageBlob;

  before(async () => {
    cluster = await Cluster.start({
      hosts: [...EAST, ...WEST],
      remote: WEST,
      tracker: { flags: ['--zone', 'east'] },
    });
    const image = await cluster.publish('team-a/big', { seed: 'zones', layerBytes: [LAYER_BYTES] });
    layer = image.layers.find(({ size }) => size > LAYER_BYTES) as ImageBlob;
    await cluster.testbed.network.shapeCrossLink(CROSS_MEGABITS);
    await Promise.all([
      ...EAST.map((name) => cluster.startLightNode(name, { flags: ['--zone', 'east'] })),
      ...WEST.map((name) => cluster.startLightNode(name, { flags: ['--zone', 'west'] })),
    ]);
  });
  after(() => cluster?.stop());

  test('the link carries each byte once, and no more than a fifth beside it', async (t) => {
    const { network } = cluster.testbed;
    const before = await network.crossTraffic();
    const startedAt = performance.now();
    const blob = { repository: 'team-a/big', digest: layer.digest };
    const answers = await Promise.all([...EAST, ...WEST].map((name) => cluster.pullBlob(name, blob)));
    const seconds = (performance.now() - startedAt) / 1000;
    for (const { status, digest } of answers) assert.deepEqual([status, digest], [200, layer.digest]);
    const then = await network.crossTraffic();
    const crossed = then.sent - before.sent + then.received - before.received;
    assert.ok(crossed >= layer.size && crossed <= 1.2 * layer.size, `${crossed / layer.size} copies crossed`);
    // Without zones four copies would cross, and what goes to and fro.
    const limit = (layer.size * 8) / (CROSS_MEGABITS * 1e6);
    t.diagnostic(`${seconds / limit} of the time that the link needs`);
  });
});
