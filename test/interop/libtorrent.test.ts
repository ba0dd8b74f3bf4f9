import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { encodeMetainfo } from '@sealift/bittorrent';
import { type BlobRef, createLogger, parseRepository, type SwarmId, swarmIdOf, systemClock } from '@sealift/core';
import type { PeerEngine } from '@sealift/peer';
import { PEER_COMMON_NAME } from '@sealift/pki';
import { sumPieces } from '../../packages/peer/src/piece-sums.ts';
import { repository, WiredCluster, type WiredNode, type WiredOptions } from '../conformance/wired-node.ts';
import { LibtorrentClient, libtorrentMissing } from './libtorrent-client.ts';
import { foreignCertificate, StockMember } from './stock-client.ts';

const skip = libtorrentMissing();
const BLOB_SIZE = 1_600_000;
/** Slow enough that a node which fetches from the seeder alone takes several seconds. */
const SEEDER_RATE = 256 * 1024;

interface Scene {
  readonly cluster: WiredCluster;
  readonly directory: string;
  readonly blob: BlobRef;
  /** Has the whole blob. */
  readonly node: WiredNode;
  readonly member: StockMember;
  readonly client: LibtorrentClient;
  /** What the engines log. */
  readonly lines: string[];
}

/** A cluster in which the seeder and one node have the blob whole, and a stock client that has nothing. */
async function newScene(t: TestContext, options: WiredOptions): Promise<Scene> {
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line), level: 'debug', clock: systemClock });
  const cluster = await WiredCluster.start({ ...options, log });
  const directory = await mkdtemp(path.join(tmpdir(), 'sealift-interop-'));
  const member = await StockMember.enrol(cluster, path.join(directory, 'member'));
  const client = new LibtorrentClient();
  t.after(async () => {
    await client[Symbol.asyncDispose]();
    await member.close();
    await cluster.stop();
    await rm(directory, { recursive: true });
  });
  const blob = cluster.addBlob(BLOB_SIZE);
  const node = await cluster.wholeNode();
  await pull(cluster, node, blob, options);
  return { cluster, directory, blob, node, member, client, lines };
}

/** Reads a blob through a node to its end, as a runtime does; returns its digest. */
async function pull(cluster: WiredCluster, node: WiredNode, blob: BlobRef, { auth }: WiredOptions): Promise<string> {
  const signal = AbortSignal.timeout(40_000);
  const authorization = auth === 'anonymous' ? undefined : await cluster.authorization(blob.repository);
  const opened = await node.source.open({ blob, authorization, intent: 'pull' }, { signal });
  assert.ok(opened);
  const hash = createHash('sha256');
  for await (const chunk of opened.read({ start: 0, end: opened.size }, { signal })) hash.update(chunk);
  opened.close();
  await swarmOf(node.engine, cluster, blob)?.waitForComplete({ signal });
  return `sha256:${hash.digest('hex')}`;
}

function swarmIdIn({ state }: WiredCluster, { registry, digest }: BlobRef): SwarmId {
  return swarmIdOf(state.clusterId, registry, digest);
}

function swarmOf(engine: PeerEngine, cluster: WiredCluster, blob: BlobRef) {
  return engine.swarm(swarmIdIn(cluster, blob));
}

/** The name that stock clients would know the blob by if it were public. */
async function forgedMetainfo({ cluster, blob, node }: Scene): Promise<Buffer> {
  const stored = node.store.get(swarmIdIn(cluster, blob));
  assert.ok(stored !== undefined);
  const { geometry, sums } = await sumPieces(stored, { signal: AbortSignal.timeout(10_000) });
  const announce = `https://127.0.0.1:${cluster.tracker.port}/announce`;
  const caPem = cluster.state.cas.issuing.certificatePem;
  return encodeMetainfo({ name: PEER_COMMON_NAME, digest: blob.digest, geometry, sums, announce, caPem }).bytes;
}

/** Writes a torrent where libtorrent can read it. */
async function torrentFile({ directory }: Scene, bytes: Buffer): Promise<{ torrent: string; directory: string }> {
  const torrent = path.join(directory, 'blob.torrent');
  await writeFile(torrent, bytes);
  return { torrent, directory };
}

const closed = [
  {
    title: 'without a certificate',
    filesOf: async () => ({}),
    reason: /PEER_DID_NOT_RETURN_A_CERTIFICATE|peer did not return a certificate/i,
  },
  {
    title: 'with a certificate of another CA',
    filesOf: ({ directory }: Scene) => foreignCertificate(path.join(directory, 'foreign')),
    reason: /the chain does not verify/,
  },
  {
    title: 'with a certificate of a node and no grant, under the name that would open the blob if it were public,',
    filesOf: async ({ member }: Scene) => member.files,
    reason: /handshake took too long/,
  },
] as const;

for (const { title, filesOf, reason } of closed) {
  test(`libtorrent ${title} gets nothing from our peers, and the log says why`, { skip }, async (t) => {
    const scene = await newScene(t, { limits: { handshakeTimeoutMs: 1_500 } });
    const { cluster, client, node, lines } = scene;
    const torrent = await torrentFile(scene, await forgedMetainfo(scene));
    const before = node.engine.stats.bytesToPeers;
    await client.start({ ...torrent, ...(await filesOf(scene)) });
    const isNamed = (): boolean =>
      lines.some((line) => /"event":"peer_(?:refused|closed)"/.test(line) && reason.test(line));
    const signal = AbortSignal.timeout(30_000);
    const dial = async (): Promise<void> => {
      await client.connect(cluster.seederPort);
      await client.connect(node.engine.port);
    };
    const { downloaded, isSeeding } = await client.until(isNamed, { signal, meanwhile: dial });
    assert.deepEqual({ downloaded, isSeeding }, { downloaded: 0, isSeeding: false });
    assert.equal(node.engine.stats.bytesToPeers, before);
    assert.equal(node.engine.stats.strangers + node.engine.stats.connections <= 2, true);
  });
}

test('the tracker gives nobody the metainfo of a blob that is not public', { skip }, async (t) => {
  const { member, blob } = await newScene(t, { publicRepositories: [parseRepository('other/app')] });
  assert.equal((await member.metainfo(blob)).status, 404);
});

test('libtorrent fetches a public blob from our peers through the announce, and seeds it to a node', {
  skip,
}, async (t) => {
  const options: WiredOptions = {
    ...{ auth: 'anonymous', publicRepositories: [repository], announceIntervalMs: 1_000 },
    seederUploadBytesPerSecond: SEEDER_RATE,
  };
  const scene = await newScene(t, options);
  const { cluster, client, directory, member, blob, node } = scene;
  const { status, bytes } = await member.metainfo(blob);
  assert.equal(status, 200);
  const infoHash = await client.start({ ...(await torrentFile(scene, bytes)), ...member.files });
  const signal = AbortSignal.timeout(50_000);
  await client.until(({ isSeeding }) => isSeeding, { signal, meanwhile: () => client.announce() });
  const content = await readFile(path.join(directory, PEER_COMMON_NAME, blob.digest.replace(':', '-')));
  assert.equal(`sha256:${createHash('sha256').update(content).digest('hex')}`, blob.digest);
  assert.notEqual(infoHash, swarmIdIn(cluster, blob));

  await node.engine.stop();
  const late = await cluster.wholeNode();
  const [digest] = await Promise.all([
    pull(cluster, late, blob, options),
    client.until(({ uploaded }) => uploaded > 0, { signal, meanwhile: () => client.announce() }),
  ]);
  assert.equal(digest, blob.digest);
});
