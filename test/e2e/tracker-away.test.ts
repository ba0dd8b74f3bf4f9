import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Cluster, type DockerNode } from '../testbed/cluster.ts';
import type { Dockerd } from '../testbed/docker.ts';
import { type PullProgress, pullByApi } from '../testbed/engine-api.ts';
import type { Image } from '../testbed/image.ts';
import { missingForTestbed } from '../testbed/support.ts';

const MIB = 1024 * 1024;
/** Speed of the registry's uplink while the tracker is taken away, in Mbit/s: the large layer then takes about 5 s. */
const UPLINK_MEGABITS = 80;
/** Bytes of the large layer that must have reached dockerd before the tracker goes. */
const UNDER_WAY_BYTES = 4 * MIB;
/** dockerd's own retries may take 75 s; a pull that needs longer has failed. */
const PULL_TIMEOUT_MS = 75_000;

suite('a tracker that goes away', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let node: DockerNode;
  let big: Image;

  before(async () => {
    cluster = await Cluster.start({ hosts: ['n1', 'n2'] });
    big = await cluster.publish('team-a/big', { seed: 'big', layerBytes: [48 * MIB] });
    await cluster.publish('team-a/app', { seed: 'app', layerBytes: [3 * MIB, 100_000] });
    node = await cluster.startNode('n1');
  });
  after(() => cluster?.stop());

  /** Pulls as alice. `onProgress` gets each line of progress that dockerd reports. */
  const pull = (docker: Dockerd, repository: string, onProgress: (progress: PullProgress) => void = () => {}) =>
    pullByApi(docker.socket, {
      image: `registry.test:5000/${repository}`,
      tag: '1',
      registryToken: cluster.mint('alice', repository),
      signal: AbortSignal.timeout(PULL_TIMEOUT_MS),
      onProgress,
    });
  const assertRuns = async (docker: Dockerd, repository: string, seed: string) => {
    const image = `registry.test:5000/${repository}:1`;
    assert.equal(await docker.runOrThrow(['run', '--rm', '--network', 'host', image, 'cat', '/etc/seed']), `${seed}\n`);
  };

  test('a pull that is under way when the tracker dies completes', async () => {
    await cluster.testbed.network.shape('registry', { up: UPLINK_MEGABITS });
    let killed: Promise<void> | undefined;
    const statuses = new Set<string | undefined>();
    const outcome = await pull(node.docker, 'team-a/big', ({ status, progressDetail }) => {
      statuses.add(status?.replace(/\d+/, 'some'));
      if (status !== 'Downloading' || (progressDetail?.current ?? 0) < UNDER_WAY_BYTES) return;
      killed ??= cluster.tracker.kill();
    });
    assert.notEqual(killed, undefined, 'the pull was over before the tracker could be killed');
    await killed;
    assert.deepEqual(outcome, { status: 200, error: undefined });
    // The rest came within the response that peers had begun: dockerd had no reason to ask again.
    assert.ok(!statuses.has('Retrying in some seconds'), [...statuses].join('; '));
    const { bytes } = await node.sealift.status();
    assert.ok(bytes.peers > 0 && bytes.registry > 0, JSON.stringify(bytes));
    const size = [big.config, ...big.layers].reduce((sum, blob) => sum + blob.size, 0);
    assert.equal(bytes.peers + bytes.registry + bytes.cache, size);
    await assertRuns(node.docker, 'team-a/big', 'big');
    await cluster.testbed.network.unshape('registry');
  });

  test('a pull that starts while the tracker is away completes', async () => {
    assert.deepEqual(await pull(node.docker, 'team-a/app'), { status: 200, error: undefined });
    await assertRuns(node.docker, 'team-a/app', 'app');
  });

  test('a node that starts while the tracker is away still pulls', async () => {
    const { docker } = await cluster.startNode('n2');
    assert.deepEqual(await pull(docker, 'team-a/app'), { status: 200, error: undefined });
    await assertRuns(docker, 'team-a/app', 'app');
  });
});
