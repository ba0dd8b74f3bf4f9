import path from 'node:path';
import { setInterval } from 'node:timers/promises';
import { AppError, parseDigest, parseRegistryHost, parseRepository } from '@sealift/core';
import { type DemoResult, sourcesOf, tellPull, tellRefusals } from '../packages/cli/src/demo/demo-result.ts';
import { mib, say } from '../packages/cli/src/demo/narration.ts';
import { PullProgress } from '../packages/cli/src/demo/progress.ts';
import type { Refusal } from '../packages/cli/src/demo/refusals.ts';
import { readNodeStatus } from '../packages/cli/src/node-admin.ts';
import { blobTraffic } from '../test/testbed/access-log.ts';
import type { Cluster, DockerNode } from '../test/testbed/cluster.ts';
import type { Image } from '../test/testbed/image.ts';
import type { StealRequest } from './docker-demo-thieves.ts';

/** The hosts that pull. */
export const NODES = ['node-1', 'node-2', 'node-3'];
/** A repository of the testbed's registry, and a user who may pull from it. */
const REPOSITORY = 'team-a/app';
const USER = 'alice';
const MIB = 1024 * 1024;
/** Sizes of the files in the image's layers, in bytes: one large, some middling, some tiny, as real images have them. */
const LAYER_BYTES = [48 * MIB, 6 * MIB, 2 * MIB, 300 * 1024, 2_000, 900];
/** Pause between two looks at each node, in ms: what people take for smooth. */
const LOOK_EVERY_MS = 200;

/** The main job on hosts with real Docker, then two refusals seen live. */
export async function showDockerDemo(cluster: Cluster, signal: AbortSignal): Promise<DemoResult> {
  const image = await cluster.publish(REPOSITORY, { seed: `demo-${process.pid}`, layerBytes: LAYER_BYTES });
  const blobs = [...new Map([image.config, ...image.layers].map((blob) => [blob.digest, blob])).values()];
  const blobBytes = blobs.reduce((sum, { size }) => sum + size, 0);
  signal.throwIfAborted();
  say(
    `Pushed an image of ${image.layers.length} layers, ${mib(blobBytes)}; starting a node and a dockerd on each host …`,
  );
  const nodes = await Promise.all(NODES.map((name) => cluster.startNode(name)));
  for (const { docker } of nodes) await cluster.login(docker, USER);
  signal.throwIfAborted();

  const name = `${cluster.registry.name}/${REPOSITORY}:1`;
  say(`docker pull ${name} on ${nodes.length} hosts at once …`);
  const startedAt = performance.now();
  await pullEverywhere(nodes, { name, blobBytes, signal });
  const seconds = Math.round((performance.now() - startedAt) / 10) / 100;
  const traffic = blobTraffic(await cluster.registry.requests());
  const sources = await Promise.all(nodes.map(({ sealift }) => sourcesOf(sealift.host.name, sealift.data)));
  const count = [...traffic.values()].reduce(
    (sum, { gets, bytes }) => ({ blobGets: sum.blobGets + gets, blobBytes: sum.blobBytes + bytes }),
    { blobGets: 0, blobBytes: 0 },
  );
  tellPull({ seconds, sources, blobBytes }, count);

  const haveRun = await runContainers(nodes, name);
  const refusals = await tryToSteal(cluster, nodes, image);
  tellRefusals(refusals);
  const ok =
    blobs.every(({ digest, size }) => traffic.get(digest)?.gets === 1 && traffic.get(digest)?.bytes === size) &&
    count.blobBytes === blobBytes &&
    haveRun &&
    refusals.every(({ bytesServed }) => bytesServed === 0);
  return { ok, nodes: nodes.length, blobBytes, registryBlobBytes: count.blobBytes, seconds, sources, refusals };
}

async function pullEverywhere(
  nodes: readonly DockerNode[],
  { name, blobBytes, signal }: { name: string; blobBytes: number; signal: AbortSignal },
): Promise<void> {
  const progress = new PullProgress({ nodes: NODES, totalBytes: blobBytes, output: process.stderr });
  const done = new AbortController();
  const watching = nodes.map((node) => watch(node, { progress, blobBytes, signal: done.signal }));
  try {
    await Promise.all(nodes.map(({ docker }) => docker.runOrThrow(['pull', name], { user: USER })));
    signal.throwIfAborted();
  } finally {
    done.abort();
    await Promise.all(watching);
    progress.stop();
  }
}

/** Shows what a node has of the image until `signal` fires: what it counts as received, or what runs in from peers. */
async function watch(
  { sealift }: DockerNode,
  { progress, blobBytes, signal }: { progress: PullProgress; blobBytes: number; signal: AbortSignal },
): Promise<void> {
  let shown = 0;
  const look = async (): Promise<void> => {
    const { bytes, peer } = (await readNodeStatus(sealift.data)) as {
      bytes: { registry: number; peers: number; cache: number };
      peer: { bytesFromPeers: number } | null;
    };
    const received = Math.max(bytes.registry + bytes.peers + bytes.cache, bytes.registry + (peer?.bytesFromPeers ?? 0));
    const now = Math.min(received, blobBytes);
    if (now > shown) progress.add(sealift.host.name, now - shown);
    shown = Math.max(shown, now);
  };
  try {
    for await (const _ of setInterval(LOOK_EVERY_MS, undefined, { signal })) await look();
  } catch {
    // The pull is over, or the node is gone: the pull itself says why.
  }
  await look().catch(() => {});
}

/** Starts a container of the image on each node; the first layer holds what it prints. */
async function runContainers(nodes: readonly DockerNode[], name: string): Promise<boolean> {
  const printed = await Promise.all(
    nodes.map(({ docker }) => docker.runOrThrow(['run', '--rm', '--network', 'host', name, 'cat', '/etc/seed'])),
  );
  say(`A container of it runs on each host; they print: ${printed.map((text) => text.trim()).join(', ')}.\n`);
  return printed.every((text) => text === `demo-${process.pid}\n`);
}

/** Thieves live on a host of the testbed, for only there are peers in reach. */
async function tryToSteal(cluster: Cluster, nodes: readonly DockerNode[], image: Image): Promise<readonly Refusal[]> {
  const [first, second] = nodes;
  const largest = image.layers.toSorted((a, b) => b.size - a.size)[0];
  if (first === undefined || second === undefined || largest === undefined) throw new TypeError('the demo has nodes');
  const request: StealRequest = {
    tracker: cluster.joinToken.tracker,
    tokenFile: cluster.joinToken.tokenFile,
    blob: {
      registry: parseRegistryHost(cluster.registry.name),
      repository: parseRepository(REPOSITORY),
      digest: parseDigest(largest.digest),
    },
    authorization: `Bearer ${cluster.mint(USER, REPOSITORY)}`,
    peer: { host: first.sealift.host.address, port: await peerPortOf(first) },
  };
  const thieves = path.join(import.meta.dirname, 'docker-demo-thieves.ts');
  const said = await second.sealift.host.runOrThrow([process.execPath, thieves], { input: JSON.stringify(request) });
  return JSON.parse(said) as readonly Refusal[];
}

async function peerPortOf({ sealift }: DockerNode): Promise<number> {
  const { peer } = (await readNodeStatus(sealift.data)) as { peer: { port: number } | null };
  if (peer === null) throw new AppError('DEMO_FAILED', { reason: `${sealift.host.name} has no peer engine` });
  return peer.port;
}
