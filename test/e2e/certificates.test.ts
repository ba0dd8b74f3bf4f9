import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Cluster } from '../testbed/cluster.ts';
import type { Image, ImageBlob } from '../testbed/image.ts';
import { type NodeProcess, sealift } from '../testbed/sealift.ts';
import { missingForTestbed } from '../testbed/support.ts';

const MIB = 1024 * 1024;
const REPOSITORY = 'team-a/big';
/** Life of a certificate here: nodes renew every 5 s. */
const CERTIFICATE_TTL = '8s';
/** The seeder's upload limit, in bytes per second: the large layer takes about 25 s. */
const UPLOAD_LIMIT = 2 * MIB;

suite('certificates that end, and a CA that is replaced, in the middle of a pull', {
  skip: missingForTestbed(),
}, () => {
  let cluster: Cluster;
  let image: Image;
  let node: NodeProcess;

  before(async () => {
    cluster = await Cluster.start({
      hosts: ['n1', 'n2', 'n3'],
      tracker: { flags: ['--certificate-ttl', CERTIFICATE_TTL, '--upload-limit', `${UPLOAD_LIMIT}`] },
    });
    image = await cluster.publish(REPOSITORY, { seed: 'certificates', layerBytes: [48 * MIB, 47 * MIB] });
    node = await cluster.startLightNode('n1');
  });
  after(() => cluster?.stop());

  const layer = (index: number): ImageBlob => {
    const blob = image.layers.filter(({ size }) => size > 40 * MIB)[index];
    assert.ok(blob);
    return blob;
  };
  const ca = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { tracker } = cluster;
    return JSON.parse(await tracker.host.runOrThrow(sealift('ca', ...args, '--data', tracker.data)));
  };
  const audited = async (): Promise<string> => await readFile(path.join(cluster.tracker.data, 'audit.jsonl'), 'utf8');

  test('a transfer outlives its certificates and their CA, and not one byte comes from the registry', async () => {
    const { service } = cluster.tracker;
    const blob = layer(0);
    const pulled = cluster.pullBlob('n1', { repository: REPOSITORY, digest: blob.digest });
    await node.service.waitForEvent('swarm_joined');
    const { fingerprint, old } = await ca('rotate');
    await service.waitForEvent('ca_changed', ({ stage }) => stage === 'activated');
    // Each look starts a process, which is pause enough.
    for (let status = await ca('status'); status['nodesThatNeedTheOld'] !== 0; status = await ca('status'));
    assert.equal((await ca('retire'))['stage'], 'none');
    await service.waitForEvent('ca_changed', ({ stage, before }) => stage === 'none' && before === 'activated');
    const { status, digest } = await pulled;
    assert.deepEqual([status, digest], [200, blob.digest]);
    const { bytes } = await node.status();
    assert.deepEqual([bytes.registry, bytes.peers], [0, blob.size]);
    const renewals = (await audited()).split('\n').filter((line) => line.includes('"certificate_renewed"'));
    assert.ok(renewals.length >= 3, `${renewals.length} renewals`);
    assert.notEqual(fingerprint, old);
  });

  test('the old address leads nowhere, the new one does', async () => {
    const late = await cluster.startLightNode('n2');
    await late.service.waitFor('the refusal', (line) => line.includes('TRUST_ANCHOR_MISMATCH') || undefined);
    await late.stop();
    await cluster.renewJoinToken();
    const enrolled = await cluster.startLightNode('n3');
    await enrolled.service.waitForEvent('enrolled');
  });

  test('a node that is denied in mid-pull loses its connection at once, and its certificate is not renewed', async () => {
    const denied = await cluster.startLightNode('n2');
    const { nodeId } = await denied.service.waitForEvent('enrolled');
    const blob = layer(1);
    const pulled = cluster.pullBlob('n2', { repository: REPOSITORY, digest: blob.digest });
    const { tracker } = cluster;
    const isOfDenied = (line: string): boolean => line.includes(String(nodeId));
    await denied.service.waitForEvent('swarm_joined');
    await tracker.host.runOrThrow(sealift('deny', String(nodeId), '--data', tracker.data));
    await tracker.service.waitFor('the cut', (line) =>
      line.includes('"peer_closed"') && isOfDenied(line) && line.includes('NODE_DENIED') ? true : undefined,
    );
    await denied.service.waitFor('no renewal', (line) =>
      line.includes('certificate_renewal_failed') && line.includes('NODE_DENIED') ? true : undefined,
    );
    // The registry still says yes to the user, so the pull is whole; the peers had no part in the rest.
    const { status, digest } = await pulled;
    assert.deepEqual([status, digest], [200, blob.digest]);
    const { bytes } = await denied.status();
    assert.ok(bytes.registry > 0 && bytes.peers < blob.size, JSON.stringify(bytes));
    assert.match(await audited(), new RegExp(`"node_denied","nodeId":"${nodeId}"`));
  });
});
