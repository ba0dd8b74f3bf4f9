import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Cluster, type DockerNode } from '../testbed/cluster.ts';
import type { Outcome } from '../testbed/host.ts';
import { sealift } from '../testbed/sealift.ts';
import { missingForTestbed } from '../testbed/support.ts';

const APP = 'registry.test:5000/team-a/app:1';

interface Report {
  readonly isWell: boolean;
  readonly checks: readonly { readonly id: string; readonly status: string; readonly finding: string }[];
}

suite('sealift doctor beside a real dockerd', { skip: missingForTestbed() }, () => {
  let cluster: Cluster;
  let node: DockerNode;

  before(async () => {
    cluster = await Cluster.start({ hosts: ['n1'] });
    await cluster.publish('team-a/app', { seed: 'doctor', layerBytes: [1000] });
    node = await cluster.startNode('n1');
    await cluster.login(node.docker, 'alice');
  });
  after(() => cluster?.stop());

  const doctor = async (...flags: readonly string[]): Promise<Outcome> => {
    const { host } = node.docker;
    const authFile = path.join(host.directory, 'docker-config-alice', 'config.json');
    const at = ['--data', node.sealift.data, '--docker-socket', node.docker.socket, '--auth-file', authFile];
    return await host.run(sealift('doctor', APP, ...at, ...flags));
  };
  const statuses = async (): Promise<Record<string, string>> => {
    const { stdout } = await doctor('--json');
    const { checks } = JSON.parse(stdout) as Report;
    return Object.fromEntries(checks.map(({ id, status }) => [id, status]));
  };

  test('finds nothing on a way that is in order, and shows no secret', async () => {
    const { code, stdout, stderr } = await doctor();
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /^All is well\.$/m);
    assert.equal(stdout.match(/^OK /gm)?.length, 15, stdout);
    assert.match(stdout, /The user who is logged in may pull registry\.test:5000\/team-a\/app:1/);
    assert.match(stdout, /The tracker grants it\. The token is a JWT \(ES256\) that carries its key:/);
    for (const secret of await cluster.secrets()) assert.ok(!`${stdout}${stderr}`.includes(secret));
    assert.doesNotMatch(stdout, /eyJ/);
  });

  test('says that the trust file is gone, and nothing else is wrong', async () => {
    await rm(path.join(node.docker.host.certificatesDirectory, 'registry.test:5000', 'sealift-intercept.crt'));
    const { trust, ...others } = await statuses();
    assert.equal(trust, 'fail');
    assert.deepEqual(new Set(Object.values(others)), new Set(['ok']));
  });

  test('says that the peer port does not let the tracker in', async () => {
    const block = ['INPUT', '-p', 'tcp', '--dport', '7445', '-j', 'DROP'];
    await node.docker.host.runOrThrow(['iptables', '-A', ...block]);
    const found = await statuses();
    await node.docker.host.runOrThrow(['iptables', '-D', ...block]);
    assert.deepEqual([found['peer-port'], found['right']], ['fail', 'ok']);
  });

  test('says that the tracker is away, and leaves out what depends on it', async () => {
    await cluster.tracker.service.stop();
    const { tracker, clock, certificate, right, registry } = await statuses();
    assert.deepEqual(
      { tracker, clock, certificate, right, registry },
      { tracker: 'fail', clock: 'skipped', certificate: 'skipped', right: 'skipped', registry: 'ok' },
    );
  });

  test('says that the node is away, and what to type', async () => {
    await node.sealift.stop();
    const { code, stdout } = await doctor();
    assert.equal(code, 1);
    assert.match(stdout, /^FAIL {2}node {10}No node runs with the data directory/m);
    assert.match(stdout, /→ Start it: systemctl start sealift-node/);
    assert.match(stdout, /^-- {4}trust {9}skipped because "proxy" is not in order$/m);
  });
});
