import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../testbed/cluster.ts';
import type { ImageBlob } from '../testbed/image.ts';
import { missingForTestbed } from '../testbed/support.ts';

const MIB = 1024 * 1024;
/** Of the seeder and of the nodes, in bytes per second. */
const UPLOAD_LIMIT = 4 * MIB;
const DOWNLOAD_LIMIT = 3 * MIB;
/** Time over which a limit must hold, in ms. */
const WINDOW_MS = 10_000;
/** Until a transfer runs evenly: join, connections, and the burst that a limit allows after a pause. In ms. */
const LEAD_MS = 2_000;

suite('rate limits', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let layer: ImageBlob;

  before(async () => {
    cluster = await Cluster.start({
      hosts: ['n1', 'n2'],
      tracker: { flags: ['--upload-limit', `${UPLOAD_LIMIT}`] },
    });
    const image = await cluster.publish('team-a/big', { seed: 'limits', layerBytes: [54 * MIB] });
    layer = image.layers.find(({ size }) => size > 50 * MIB) as ImageBlob;
    await cluster.startLightNode('n1');
    await cluster.startLightNode('n2', { flags: ['--download-limit', `${DOWNLOAD_LIMIT}`] });
  });
  after(() => cluster?.stop());

  /** Bytes per second by the interface of a host while another pulls the layer. */
  const rateDuringPull = async (puller: string, host: string, direction: 'sent' | 'received'): Promise<number> => {
    const pulled = cluster.pullBlob(puller, { repository: 'team-a/big', digest: layer.digest });
    await delay(LEAD_MS);
    const { network } = cluster.testbed;
    const [before, startedAt] = [await network.traffic(host), performance.now()];
    await delay(WINDOW_MS);
    const [then, endedAt] = [await network.traffic(host), performance.now()];
    const answer = await pulled;
    assert.deepEqual([answer.status, answer.digest], [200, layer.digest]);
    return ((then[direction] - before[direction]) / (endedAt - startedAt)) * 1000;
  };

  test("the seeder's upload stays below its limit and 5 % over 10 s, by the counters of its interface", async (t) => {
    const ratio = (await rateDuringPull('n1', 'tracker', 'sent')) / UPLOAD_LIMIT;
    t.diagnostic(`${ratio} of the limit`);
    // Judged from above only: a busy machine may be slower than the limit, and nothing makes it faster.
    assert.ok(ratio > 0 && ratio <= 1.05, `${ratio} of the limit`);
  });

  test("a node's download stays below its limit and 5 % over 10 s, by the counters of its interface", async (t) => {
    const ratio = (await rateDuringPull('n2', 'n2', 'received')) / DOWNLOAD_LIMIT;
    t.diagnostic(`${ratio} of the limit`);
    // Judged from above only: a busy machine may be slower than the limit, and nothing makes it faster.
    assert.ok(ratio > 0 && ratio <= 1.05, `${ratio} of the limit`);
  });
});
