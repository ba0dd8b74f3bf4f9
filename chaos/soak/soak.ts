import path from 'node:path';
import { Scope } from '../../bench/harness/scope.ts';
import { Stage, type StageImage } from '../stage.ts';
import { Probe } from './probe.ts';
import { STEPS, type Step, steadyNode } from './steps.ts';
import { Watch, type WatchReport } from './watch.ts';

const NODES = 6;
const MIB = 1024 * 1024;
/** Each image has three layers of sizes that differ: below a piece, a few pieces, many. */
const LAYERS = [4 * MIB, 1_300_000, 30_000] as const;
/** Images that nodes pull again; older ones are pushed out of their small stores. */
const MAX_IMAGES = 12;
/** Of each node's store, so that it has to evict: about five images. */
const QUOTA = '28MiB';
/** Of the seeder's: what it knows must not grow with all that there ever was. */
const SEEDER_QUOTA = '64MiB';
/** The part of a soak in which everything may end; what lives on is watched for the rest. */
const EARLY_PART = 1 / 3;
/** How often the processes that live on are asked what they hold, in ms. */
const SAMPLE_MS = 10_000;

/** What a soak has done and seen. */
export interface SoakResult extends WatchReport {
  readonly seed: number;
  readonly minutes: number;
  readonly steps: Readonly<Record<string, number>>;
  readonly pulls: number;
  readonly failed: number;
  readonly digestsRight: boolean;
  readonly extraRegistryBytes: number;
  readonly slowestSeconds: number;
  readonly problems: readonly string[];
}

/** Pulls, deletes, restarts and breaks things in an order that the seed decides, and looks for what grows. */
export async function soak({
  minutes,
  seed,
  signal,
  say,
}: {
  minutes: number;
  seed: number;
  signal: AbortSignal;
  say: (text: string) => void;
}): Promise<SoakResult> {
  await using scope = new Scope({ signal });
  const probe = await Probe.create(path.join(scope.directory, 'probe'));
  const options = { logLevel: 'info', env: probe.env };
  const node = { ...options, flags: ['--quota', QUOTA] };
  const tracker = { ...options, flags: ['--quota', SEEDER_QUOTA] };
  await using stage = await Stage.start({ nodes: NODES, uplinkMegabits: 100, node, tracker }, { scope, seed });
  const watch = new Watch(stage, { probe, steady: steadyNode(stage) });
  const images: StageImage[] = [];
  const counts: Record<string, number> = {};
  const broken: string[] = [];
  const [startsAt, durationMs] = [performance.now(), minutes * 60_000];
  const passed = (): number => (performance.now() - startsAt) / durationMs;
  try {
    let sampledAt = startsAt;
    for (let round = 1; passed() < 1; round += 1) {
      signal.throwIfAborted();
      const step = stage.random.pick(STEPS.filter(({ isEarly }) => isEarly !== true || passed() < EARLY_PART));
      counts[step.name] = (counts[step.name] ?? 0) + 1;
      const image = await imageOf(stage, images);
      await playStep(stage, step, image).catch((cause: unknown) => {
        throw new Error(`round ${round}, ${step.name}: ${textOf(cause)}`, { cause });
      });
      watch.look();
      if (performance.now() - sampledAt >= SAMPLE_MS) {
        sampledAt = performance.now();
        await watch.sample();
      }
      if (round % 10 === 0)
        say(`${round} rounds, ${stage.pulls} pulls, ${stage.problems.length} problems, ${watch.summary()}`);
    }
    // What is left after a rest is what leaks: no pull runs and every wait has ended.
    await watch.rest();
  } catch (error) {
    signal.throwIfAborted();
    // What was seen until then is worth telling.
    broken.push(textOf(error));
  }
  const { pulls, failed, digestsRight, extraRegistryBytes, slowestSeconds, problems } = await stage.row('soak');
  return {
    ...watch.report(),
    seed,
    minutes,
    steps: counts,
    pulls,
    failed,
    digestsRight,
    extraRegistryBytes,
    slowestSeconds,
    problems: [...broken, ...problems, ...watch.problems()],
  };
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** A new image or, as often, one of those before. */
async function imageOf(stage: Stage, images: StageImage[]): Promise<StageImage> {
  if (images.length > 0 && stage.random.oneIn(2)) return stage.random.pick(images);
  const image = await stage.publish(LAYERS);
  images.push(image);
  if (images.length > MAX_IMAGES) images.shift();
  return image;
}

async function playStep(stage: Stage, step: Step, image: StageImage): Promise<void> {
  const some = stage.names.filter(() => !stage.random.oneIn(3));
  await step.play(stage, { image, names: some.length === 0 ? stage.names : some });
}
