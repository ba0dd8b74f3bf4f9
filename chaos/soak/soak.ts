import { Scope } from '../../bench/harness/scope.ts';
import { Stage, type StageImage } from '../stage.ts';
import { STEPS, type Step } from './steps.ts';
import { Watch, type WatchReport } from './watch.ts';

const NODES = 6;
const MIB = 1024 * 1024;
/** Each image has three layers of sizes that differ: below a piece, a few pieces, many. */
const LAYERS = [4 * MIB, 1_300_000, 30_000] as const;
/** Images that nodes pull again; older ones are pushed out of their small stores. */
const MAX_IMAGES = 12;
/** Of each node's store, so that it has to evict: about five images. */
const QUOTA = '28MiB';

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
  const setting = { nodes: NODES, uplinkMegabits: 100, node: { logLevel: 'info', flags: ['--quota', QUOTA] } };
  await using stage = await Stage.start({ ...setting, tracker: { logLevel: 'info' } }, { scope, seed });
  const watch = new Watch(stage);
  const images: StageImage[] = [];
  const counts: Record<string, number> = {};
  const endsAt = Date.now() + minutes * 60_000;
  for (let round = 1; Date.now() < endsAt; round += 1) {
    signal.throwIfAborted();
    const step = stage.random.pick(STEPS);
    counts[step.name] = (counts[step.name] ?? 0) + 1;
    const image = await imageOf(stage, images);
    await playStep(stage, step, image);
    watch.look();
    if (round % 10 === 0) say(`${round} rounds, ${stage.pulls} pulls, ${watch.summary()}`);
  }
  // What is left after a rest is what leaks: no pull runs and every wait has ended.
  await watch.rest();
  const row = await stage.row('soak');
  const report = watch.report();
  const { pulls, failed, digestsRight, extraRegistryBytes, slowestSeconds } = row;
  const problems = [...row.problems, ...watch.problems()];
  return {
    ...report,
    seed,
    minutes,
    steps: counts,
    pulls,
    failed,
    digestsRight,
    extraRegistryBytes,
    slowestSeconds,
    problems,
  };
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
