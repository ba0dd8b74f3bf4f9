import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { Cluster, type DockerNode } from '../testbed/cluster.ts';
import { type PullProgress, pullByApi } from '../testbed/engine-api.ts';
import { missingForTestbed } from '../testbed/support.ts';

const MIB = 1024 * 1024;
/** Speed of the registry's uplink, in Mbit/s: the layer takes about three seconds. */
const UPLINK_MEGABITS = 80;
const LAYER_BYTES = 30 * MIB;
/** Bytes of the layer that must have reached dockerd before something happens to its node. */
const UNDER_WAY_BYTES = 4 * MIB;
/** dockerd's own retries may take 75 s; a pull that needs longer has failed. */
const PULL_TIMEOUT_MS = 90_000;
/** A node that is to end under load cuts what is not done by then, so that dockerd has to resume it. */
const FLAGS = ['--stop-timeout', '1s'];

suite('a node whose processes end under a pull of dockerd', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let node: DockerNode;

  before(async () => {
    cluster = await Cluster.start({ hosts: ['n1'] });
    await cluster.publish('team-a/app', { seed: 'app', layerBytes: [LAYER_BYTES] });
    await cluster.publish('team-a/big', { seed: 'big', layerBytes: [LAYER_BYTES, LAYER_BYTES] });
    node = await cluster.startNode('n1', { flags: FLAGS });
    await cluster.testbed.network.shape('registry', { up: UPLINK_MEGABITS });
  });
  after(() => cluster?.stop());

  /** Pulls as alice, and calls `strike` when the pull is under way; answers with what dockerd says, its status lines included. */
  async function pullAnd(repository: string, seed: string, strike: () => Promise<unknown>) {
    const statuses = new Set<string | undefined>();
    let struck: Promise<unknown> | undefined;
    const outcome = await pullByApi(node.docker.socket, {
      image: `registry.test:5000/${repository}`,
      tag: '1',
      registryToken: cluster.mint('alice', repository),
      signal: AbortSignal.timeout(PULL_TIMEOUT_MS),
      onProgress: ({ status, progressDetail }: PullProgress) => {
        statuses.add(status?.replace(/\d+/, 'some'));
        if (status === 'Downloading' && (progressDetail?.current ?? 0) >= UNDER_WAY_BYTES) struck ??= strike();
      },
    });
    assert.ok(struck, 'the pull was over too soon');
    await struck;
    assert.deepEqual(outcome, { status: 200, error: undefined });
    const image = `registry.test:5000/${repository}:1`;
    const said = await node.docker.runOrThrow(['run', '--rm', '--network', 'host', image, 'cat', '/etc/seed']);
    assert.equal(said, `${seed}\n`);
    return statuses;
  }

  test('its engine is killed: dockerd notices nothing, and has no reason to ask again', async () => {
    const statuses = await pullAnd('team-a/app', 'app', async () => {
      const { engine } = await node.sealift.status();
      if (engine.pid !== null) process.kill(engine.pid, 'SIGKILL');
    });
    assert.ok(!statuses.has('Retrying in some seconds'), [...statuses].join('; '));
    const { bytes, engine } = await node.sealift.status();
    assert.ok(bytes.peers > 0 && bytes.registry > 0 && engine.restarts === 1, JSON.stringify({ bytes, engine }));
  });

  test('it is upgraded: stopped and started anew, the pull goes on through the new one, though it trusts the CA of the old', async () => {
    await pullAnd('team-a/big', 'big', async () => {
      await node.sealift.stop();
      node = { ...node, sealift: await cluster.startLightNode('n1', { flags: FLAGS }) };
    });
    await node.sealift.service.waitForEvent('intercept_distrusted');
  });
});
