import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Cluster, type DockerNode } from '../testbed/cluster.ts';
import type { Dockerd } from '../testbed/docker.ts';
import { pullByApi } from '../testbed/engine-api.ts';
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

  before(async () => {
    cluster = await Cluster.start({ hosts: ['n1', 'n2'] });
    await cluster.publish('team-a/big', { seed: 'big', layerBytes: [48 * MIB] });
    await cluster.publish('team-a/app', { seed: 'app', layerBytes: [3 * MIB, 100_000] });
    node = await cluster.startNode('n1');
  });
  after(() => cluster?.stop());

  const pull = (docker: Dockerd, repository: string, onBytes: (bytes: number) => void = () => {}) =>
    pullByApi(docker.socket, {
      image: `registry.test:5000/${repository}`,
      tag: '1',
      registryToken: cluster.mint('alice', repository),
      signal: AbortSignal.timeout(PULL_TIMEOUT_MS),
      onProgress: ({ status, progressDetail }) => {
        if (status === 'Downloading') onBytes(progressDetail?.current ?? 0);
      },
    });
  const assertRuns = async (docker: Dockerd, repository: string, seed: string) => {
    const image = `registry.test:5000/${repository}:1`;
    assert.equal(await docker.runOrThrow(['run', '--rm', '--network', 'host', image, 'cat', '/etc/seed']), `${seed}\n`);
  };

  test('a pull that is under way when the tracker dies completes', async () => {
    await cluster.testbed.network.shape('registry', { up: UPLINK_MEGABITS });
    let killed: Promise<void> | undefined;
    const outcome = await pull(node.docker, 'team-a/big', (bytes) => {
      if (bytes >= UNDER_WAY_BYTES) killed ??= cluster.tracker.kill();
    });
    assert.notEqual(killed, undefined, 'the pull was over before the tracker could be killed');
    await killed;
    assert.deepEqual(outcome, { status: 200, error: undefined });
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
