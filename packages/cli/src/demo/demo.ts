import { rmSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { AppError, parseRepository } from '@sealift/core';
import type { ConfigOf } from '../config.ts';
import { exitStatusOf } from '../end-of-process.ts';
import type { DEMO_OPTIONS } from '../options.ts';
import { makeDemoDirectory } from './demo-directory.ts';
import { makeDemoImage } from './demo-image.ts';
import { conclude, type DemoResult, sourcesOf, tellPull, tellRefusals } from './demo-result.ts';
import { LightClient, type PullResult } from './light-client.ts';
import { LocalCluster, type LocalNode } from './local-cluster.ts';
import { untilReaderIsGone } from './lost-reader.ts';
import { mib, say } from './narration.ts';
import { PullProgress } from './progress.ts';
import { tryToSteal } from './theft.ts';

const REPOSITORY = parseRepository('demo/app');

/** `sealift demo`: the main job on one machine, in processes of their own, then two refusals seen live. */
export async function runDemo(
  { json, keep, ...options }: ConfigOf<typeof DEMO_OPTIONS>,
  { signal: end }: { readonly signal: AbortSignal },
): Promise<void> {
  const signal = AbortSignal.any([end, untilReaderIsGone()]);
  const directory = await makeDemoDirectory({ keep });
  const cluster = new LocalCluster({ ...options, directory, signal });
  const abandon = (): void => {
    cluster.kill();
    if (!keep) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  };
  // For an end that waits for nothing: a second Ctrl-C, or a bug.
  process.once('exit', abandon);
  try {
    conclude(await showDemo(cluster, { ...options, signal }), { json });
  } catch (error) {
    if (!signal.aborted) throw error;
    say('\nstopped');
    process.exitCode = exitStatusOf(signal);
  } finally {
    await cluster.stop();
    if (keep) say(`Logs are in ${directory}.`);
    else await rm(directory, { recursive: true, force: true });
    process.off('exit', abandon);
  }
}

async function showDemo(
  cluster: LocalCluster,
  { nodes: nodeCount, registryRate, signal }: { nodes: number; registryRate: number; signal: AbortSignal },
): Promise<DemoResult> {
  say(`Starting a registry, a tracker and ${nodeCount} nodes on this machine …`);
  await cluster.start();
  const { nodes } = cluster;
  const first = nodes[0];
  if (first === undefined) throw new AppError('CONFIG_INVALID', { reason: 'the demo needs a node' });

  const image = makeDemoImage(cluster.user.password);
  const size = image.layers.reduce((sum, { bytes }) => sum + bytes.length, image.config.length);
  say(`Pushing an image of ${image.layers.length} layers, ${mib(size)}, through the first node's proxy …`);
  await (await clientOf(first, cluster)).push('1', image, { signal });

  say(`Pulling it on ${nodes.length} nodes at once; the registry's uplink carries ${mib(registryRate)}/s …`);
  const startedAt = performance.now();
  const pulls = await pullEverywhere(cluster, size, signal);
  const seconds = Math.round((performance.now() - startedAt) / 10) / 100;
  const blobBytes = pulls[0]?.bytes ?? 0;
  const count = await cluster.countAtRegistry();
  const sources = await Promise.all(nodes.map(({ name, data }) => sourcesOf(name, data)));
  tellPull({ seconds, sources, blobBytes }, count);

  const largest = pulls[0]?.blobs.toSorted((a, b) => b.size - a.size)[0];
  if (largest === undefined) throw new AppError('DEMO_FAILED', { reason: 'the pull brought nothing' });
  const loot = {
    tracker: cluster.tracker,
    blob: { registry: cluster.registry.host, repository: REPOSITORY, digest: largest.digest },
    authorization: await (await clientOf(first, cluster)).authorize('pull', signal),
    peer: first.peer,
  };
  const refusals = await tryToSteal(loot, { signal });
  tellRefusals(refusals);
  const ok =
    count.blobBytes === blobBytes &&
    pulls.every(({ bytes }) => bytes === size) &&
    refusals.every(({ bytesServed }) => bytesServed === 0);
  return { ok, nodes: nodes.length, blobBytes, registryBlobBytes: count.blobBytes, seconds, sources, refusals };
}

async function pullEverywhere(
  cluster: LocalCluster,
  totalBytes: number,
  signal: AbortSignal,
): Promise<readonly PullResult[]> {
  const progress = new PullProgress({
    nodes: cluster.nodes.map(({ name }) => name),
    totalBytes,
    output: process.stderr,
  });
  try {
    return await Promise.all(
      cluster.nodes.map(async (node) => {
        const client = await clientOf(node, cluster);
        return await client.pull('1', { signal, onBytes: (bytes) => progress.add(node.name, bytes) });
      }),
    );
  } finally {
    progress.stop();
  }
}

/** A runtime on a node: it trusts that node's intercept CA for the registry, and nothing else. */
async function clientOf(node: LocalNode, { registry, user }: LocalCluster): Promise<LightClient> {
  return new LightClient({
    route: { proxy: node.proxy, trustAnchors: await readFile(node.interceptCaFile, 'utf8') },
    registry: registry.host,
    repository: REPOSITORY,
    credentials: user,
  });
}
