import path from 'node:path';
import { readNodeStatus } from '../../packages/cli/src/node-admin.ts';
import { parseLogLine } from '../../test/testbed/service.ts';
import type { Fault } from '../fault.ts';
import type { Stage, StageImage } from '../stage.ts';
import { problemsOfData, problemsOfStore } from './dead-store.ts';
import { type KeptBlob, keptBlobs } from './kept-bytes.ts';
import { killEngine, killNode } from './killing.ts';
import { planStrikes, type Strike } from './strikes.ts';
import { Tally } from './tally.ts';

/** Several pieces each, so that a kill finds some verified, one being written and others missing. */
const LAYERS = [5_000_000, 3_000_000];
/** Of each store: several images, so that blobs are pushed out while others come. */
const QUOTA_MIB = 48;
const QUOTA_BYTES = QUOTA_MIB * 1024 * 1024;
/** How long a node may pass through what it is asked for after a kill, in ms: it leaves a tracker alone that did not answer. */
const PASSING_MS = 30_000;
const AGAIN_MS = 500;

/** What a strike has left to be looked at once the pulls are over. */
type AfterCheck = () => Promise<void>;

/**
 * Kills nodes, fronts, engines and the tracker with its seeder at moments that the seed decides, while pulls run, and starts
 * them again at once. A store is checked while nobody has it; no pull fails but those through a front that was killed; no
 * client is given a false byte; and what was verified is not fetched again.
 */
export function kills(times: number, say: (text: string) => void): Fault {
  const quota = ['--quota', `${QUOTA_MIB}MiB`];
  const settings = { logLevel: 'info', flags: quota };
  return {
    name: 'kills',
    summary: `processes are killed at random moments of pulls, ${times} times`,
    setting: { node: settings, tracker: settings },
    play: async (stage) => {
      const tally = new Tally({ times, say });
      while (tally.left > 0) await playRound(stage, tally);
      tally.note(stage);
      await stage.cluster.stopServices();
      const all = [...stage.names.map((name) => [name, stage.node(name).data] as const), trackerOf(stage)];
      await Promise.all(all.map(async ([name, data]) => demandSound(stage, name, await problemsOfData(data))));
    },
  };
}

async function playRound(stage: Stage, tally: Tally): Promise<void> {
  const startedAt = performance.now();
  const image = await stage.publish(LAYERS);
  const { names, random } = stage;
  const strikes = planStrikes(random, { names, imageBytes: image.blobBytes, most: tally.left });
  // The client of a front that is killed loses its pull, so that is none that counts.
  const lost = strikes.filter(({ target }) => target === 'node' || target === 'front').map(({ name }) => name);
  const kept = names.filter((name) => !lost.includes(name));
  const pulls = Promise.all([stage.pull(image, kept), ...lost.map((name) => stage.attempt(image, name))]);
  pulls.catch(() => {});
  const checks = await Promise.all(strikes.map((strike) => play(stage, strike, image, tally)));
  const [, ...outcomes] = await pulls;
  stage.expectTrueBytes(outcomes);
  for (const check of checks) await check();
  tally.round(strikes, { seconds: (performance.now() - startedAt) / 1000, problems: stage.problems });
}

async function play(stage: Stage, strike: Strike, image: StageImage, tally: Tally): Promise<AfterCheck> {
  const { name, target, atByte } = strike;
  if (await stage.isReached(name, atByte)) tally.midPull += 1;
  if (target === 'tracker') return await strikeTracker(stage, strike, image, tally);
  const kept = target === 'engine' ? await strikeEngine(stage, strike, image) : await strikeNode(stage, strike, image);
  const bytes = kept.reduce((sum, blob) => sum + blob.bytes, 0);
  tally.keptBytes += bytes;
  return () => demandKept(stage, strike, { image, bytes });
}

async function strikeNode(
  stage: Stage,
  { name, target }: Strike,
  { layers }: StageImage,
): Promise<readonly KeptBlob[]> {
  const directory = storeOf(stage, name);
  await killNode(stage, name, { withEngine: target === 'node' });
  // An engine whose front is gone has its store for a moment yet.
  if (target === 'node') demandSound(stage, name, await problemsOfStore(directory, { quotaBytes: QUOTA_BYTES }));
  const kept = await keptBlobs(directory, layers);
  await stage.startNode(name);
  return kept;
}

async function strikeEngine(
  stage: Stage,
  { name, isLookedAt }: Strike,
  { layers }: StageImage,
): Promise<readonly KeptBlob[]> {
  const directory = storeOf(stage, name);
  const look = async (): Promise<void> => {
    demandSound(stage, name, await problemsOfStore(directory, { quotaBytes: QUOTA_BYTES }));
  };
  await killEngine(stage, name, isLookedAt ? look : undefined);
  const kept = await keptBlobs(directory, layers);
  await stage.engineRuns(name);
  return kept;
}

async function strikeTracker(stage: Stage, { name }: Strike, image: StageImage, tally: Tally): Promise<AfterCheck> {
  const { tracker } = stage.cluster;
  await tracker.kill();
  demandSound(stage, 'tracker', await problemsOfData(tracker.data));
  const kept = await keptBlobs(path.join(tracker.data, 'seeder'), image.layers);
  await tracker.start();
  return async () => {
    // Whoever lacks a part of it has the seeder go on with its read.
    await stage.pull(image, [name]);
    for (const { digest, firstBytes } of kept) {
      const reads = tracker.service.lines
        .map(parseLogLine)
        .filter((line) => line?.event === 'ingest_started' && line['digest'] === digest);
      for (const read of reads) {
        const offset = Number(read?.['offset']);
        stage.expect(offset >= firstBytes, `the seeder held ${firstBytes} bytes and began to read at ${offset}`);
        tally.resumedReads += 1;
      }
    }
  };
}

/** What was verified before a kill is not fetched again: it comes from the store, or the rest is all that came. */
async function demandKept(
  stage: Stage,
  { name, target }: Strike,
  { image, bytes }: { image: StageImage; bytes: number },
): Promise<void> {
  const endsAt = performance.now() + PASSING_MS;
  for (;;) {
    const before = await statusOf(stage, name);
    await stage.pull(image, [name]);
    const after = await statusOf(stage, name);
    const [cache, registry] = [after.bytes.cache - before.bytes.cache, after.bytes.registry - before.bytes.registry];
    // A piece that is being held against its signed hash, which came later, is not in the count of the store.
    const fetched = registry + (after.peer?.bytesFromPeers ?? 0);
    const isKept = cache >= bytes || fetched <= image.blobBytes - bytes;
    const isPassing = !isKept && after.bytes.peers === before.bytes.peers;
    if (!isPassing || performance.now() > endsAt) {
      const what = `${bytes} bytes were verified when it was killed, ${cache} came from its store and ${fetched} were fetched`;
      stage.expect(isKept, `${target} on ${name}: ${what}`);
      return;
    }
    await stage.pause(AGAIN_MS);
  }
}

interface Status {
  /** What clients got. */
  readonly bytes: { readonly cache: number; readonly peers: number; readonly registry: number };
  /** Of the engine that runs, since its start; `null` if none does. */
  readonly peer: { readonly bytesFromPeers: number } | null;
}

async function statusOf(stage: Stage, name: string): Promise<Status> {
  return (await readNodeStatus(stage.node(name).data)) as unknown as Status;
}

function trackerOf(stage: Stage): readonly [name: string, data: string] {
  return ['tracker', stage.cluster.tracker.data];
}

function storeOf(stage: Stage, name: string): string {
  return path.join(stage.node(name).data, 'blobs');
}

function demandSound(stage: Stage, name: string, problems: readonly string[]): void {
  for (const problem of problems) stage.expect(false, `the store of ${name} is not sound: ${problem}`);
}
