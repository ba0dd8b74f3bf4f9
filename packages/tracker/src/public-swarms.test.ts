import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import {
  AnnounceClient,
  type BencodeInput,
  decodeBencode,
  encodeAnnounceQuery,
  encodeBencode,
  PIECE_SUM_LENGTH,
} from '@sealift/bittorrent';
import { type Digest, parseSwarmId, pieceGeometry, type SwarmId, swarmIdOf } from '@sealift/core';
import { FakeRegistry } from '@sealift/testkit';
import { TRACKER_PATHS } from '@sealift/tracker-api';
import { type Agent, request } from 'undici';
import type { PublicRepository } from './config.ts';
import { TestTracker } from './tracker.fixture.ts';

const content = Buffer.alloc(40_000, 'a layer');
const geometry = pieceGeometry(content.length, 16 * 1024);
/** Longer than the registry's word holds, in ms. */
const AFTER_PROOF_MS = 16 * 60_000;

interface Scene {
  readonly cluster: TestTracker;
  readonly digest: Digest;
  readonly swarmId: SwarmId;
}

/** A tracker whose operator has listed `listed`, and whose seeder holds the blob of team/app whole. */
async function newScene(
  t: TestContext,
  { listed = 'team/app', auth = 'anonymous' as 'anonymous' | 'bearer', isWhole = true } = {},
): Promise<Scene> {
  const registry = new FakeRegistry({ auth });
  const repositories: PublicRepository[] = [];
  const cluster = new TestTracker({ publicRepositories: repositories }, registry);
  // Its port is known once it listens, and the list is read when the tracker starts after it.
  await registry.start();
  repositories.push({ registry: registry.host, repository: listed as PublicRepository['repository'] });
  await cluster.start();
  t.after(() => cluster.stop());
  const digest = registry.addBlob('team/app', content);
  const swarmId = swarmIdOf(cluster.state.clusterId, registry.host, digest);
  if (isWhole) {
    const sums = Buffer.alloc(geometry.pieceCount * PIECE_SUM_LENGTH, 7);
    cluster.seeder.seeding.add(swarmId);
    Object.assign(cluster.seeder, {
      pieceSums: async (id: SwarmId) => (id === swarmId ? { geometry, sums } : undefined),
    });
  }
  return { cluster, digest, swarmId };
}

async function metainfo({ cluster, digest }: Scene, agent: Agent, repository = 'team/app') {
  const query = new URLSearchParams({ registry: cluster.registry.host, repository, digest });
  const url = `${cluster.origin}${TRACKER_PATHS.metainfo}?${query}`;
  const { statusCode, body } = await request(url, { dispatcher: agent });
  return { status: statusCode, bytes: Buffer.from(await body.arrayBuffer()) };
}

/** The info hash as a stock client reckons it. */
function infoHashOf(bytes: Buffer): SwarmId {
  const root = decodeBencode(bytes, { maxBytes: bytes.length }) as ReadonlyMap<string, BencodeInput>;
  return parseSwarmId(
    createHash('sha1')
      .update(encodeBencode(root.get('info') ?? ''))
      .digest('hex'),
  );
}

/** An announce as stock clients send it: compact, and without a grant. */
async function announce({ cluster }: Scene, agent: Agent, swarmId: SwarmId, left = 1): Promise<Map<string, unknown>> {
  const fields = { left, uploaded: 0, downloaded: 0, port: 6881, grant: '', denyVersion: 0, event: 'started' as const };
  const query = encodeAnnounceQuery({ swarmId, ...fields }).replace('compact=0', 'compact=1');
  const { body } = await request(`${cluster.origin}${TRACKER_PATHS.announce}?${query}`, { dispatcher: agent });
  return decodeBencode(Buffer.from(await body.arrayBuffer())) as Map<string, unknown>;
}

const failureOf = (answer: Map<string, unknown>): string => String(answer.get('failure reason') ?? '');

test('a listed blob that anybody may pull gets a metainfo, whose info hash needs no grant in an announce', async (t) => {
  const scene = await newScene(t);
  const { agent } = await scene.cluster.enrol();
  const { status, bytes } = await metainfo(scene, agent);
  assert.equal(status, 200);
  const answer = await announce(scene, agent, infoHashOf(bytes));
  assert.equal(failureOf(answer), '');
  // BEP 23: 192.0.2.1:7444, the seeder.
  assert.deepEqual(Buffer.from(answer.get('peers') as Uint8Array).toString('hex'), 'c00002011d14');
  assert.match(await scene.cluster.auditText(), /"swarm_opened"/);
});

test('a public swarm is announced to its nodes and to the seeder, and stock clients are listed nowhere', async (t) => {
  const scene = await newScene(t);
  const { cluster, digest, swarmId } = scene;
  const [stock, node] = [await cluster.enrol(), await cluster.enrol()];
  const infoHash = infoHashOf((await metainfo(scene, stock.agent)).bytes);
  await announce(scene, stock.agent, infoHash);
  const signal = AbortSignal.timeout(10_000);
  const blob = { registry: cluster.registry.host, repository: 'team/app', digest, intent: 'check' as const };
  const join = await node.client.join(blob, { signal });
  assert.ok(join.verdict === 'granted');
  const announcer = new AnnounceClient({ origin: cluster.origin, dispatcher: () => node.agent });
  const own = { swarmId, grant: join.grant, left: 1, uploaded: 0, downloaded: 0, port: 1, denyVersion: 0 };
  const answer = await announcer.announce(own, { signal });
  assert.equal(answer.publicInfoHash, infoHash);
  assert.equal(answer.peers.length, 1);
  assert.equal(cluster.tracker.announceSeeder({ swarmId, denyVersion: 0 }).publicInfoHash, infoHash);
});

const closed = [
  { title: 'a repository that is not listed', options: { listed: 'team/other' } },
  { title: 'a listed repository whose blobs the registry gives only to some', options: { auth: 'bearer' as const } },
  { title: 'a blob that the seeder does not hold whole', options: { isWhole: false } },
] as const;

for (const { title, options } of closed) {
  test(`there is no metainfo for ${title}`, async (t) => {
    const scene = await newScene(t, options);
    const { agent } = await scene.cluster.enrol();
    assert.equal((await metainfo(scene, agent)).status, 404);
    assert.equal(
      scene.cluster.tracker.announceSeeder({ swarmId: scene.swarmId, denyVersion: 0 }).publicInfoHash,
      undefined,
    );
  });
}

test('a metainfo needs a certificate of the cluster', async (t) => {
  const scene = await newScene(t);
  assert.equal((await metainfo(scene, scene.cluster.agent())).status, 401);
});

test('beside a public swarm no other one, and not even itself by its own id, is announced without a grant', async (t) => {
  const scene = await newScene(t);
  const { agent } = await scene.cluster.enrol();
  await metainfo(scene, agent);
  for (const swarmId of [scene.swarmId, parseSwarmId('cd'.repeat(20))]) {
    assert.match(failureOf(await announce(scene, agent, swarmId)), /^GRANT_REJECTED/);
  }
});

test('a swarm is public no longer than the word of the registry holds', async (t) => {
  const scene = await newScene(t);
  const { cluster } = scene;
  const { agent } = await cluster.enrol();
  const infoHash = infoHashOf((await metainfo(scene, agent)).bytes);
  cluster.clock.offsetMs = AFTER_PROOF_MS;
  assert.equal(cluster.tracker.announceSeeder({ swarmId: scene.swarmId, denyVersion: 0 }).publicInfoHash, undefined);
  assert.match(failureOf(await announce(scene, agent, infoHash)), /^GRANT_REJECTED/);
});

test('a tracker with public repositories says so when it starts', async (t) => {
  const { cluster } = await newScene(t);
  assert.ok(cluster.logLines.some((line) => line.includes('"repository_public"') && line.includes('team/app')));
});

test('without a list nothing is public', async (t) => {
  const cluster = new TestTracker({}, new FakeRegistry({ auth: 'anonymous' }));
  await cluster.start();
  t.after(() => cluster.stop());
  const digest = cluster.registry.addBlob('team/app', content);
  const { agent } = await cluster.enrol();
  const swarmId = swarmIdOf(cluster.state.clusterId, cluster.registry.host, digest);
  assert.equal((await metainfo({ cluster, digest, swarmId }, agent)).status, 404);
});
