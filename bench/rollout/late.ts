import { setTimeout as delay } from 'node:timers/promises';
import type { Benchmark, BenchmarkContext } from '../harness/benchmark.ts';
import { alternate, type Contender } from '../harness/rounds.ts';
import { type Figures, round, spreadOfFigure } from '../harness/statistics.ts';
import { formatSpread, formatTable } from '../harness/table.ts';
import { Deployment } from './deployment.ts';
import { lateLimitSeconds, limitSeconds } from './limit.ts';
import { spent } from './rollout.ts';
import { parseSetting, SETTING_OPTIONS } from './setting.ts';

/** A layer that every node pulls before the first round, in bytes: processes that serve a cluster have run before. */
const WARM_UP_BYTES = 4_000_000;
const SCENES = ['after', 'halfway', 'direct'] as const;
type Scene = (typeof SCENES)[number];

/** One node that comes when the others are done, and one that comes half-way. */
export const lateBenchmark: Benchmark = {
  name: 'late',
  summary:
    'a node that joins a rollout when the others are done, and one that joins half-way, each as a ratio to its own ' +
    'physical limit; beside them one node straight from the registry',
  options: { ...SETTING_OPTIONS, nodes: { type: 'string', default: '8' } },
  defaultRounds: 3,
  run,
};

async function run({ scope, rounds, signal, say, values }: BenchmarkContext): Promise<object> {
  const setting = parseSetting(values);
  // The one who is late comes on top.
  await using deployment = await Deployment.start({ ...setting, nodes: setting.nodes + 1 }, { scope, say });
  await deployment.pull('sealift', await deployment.publish([WARM_UP_BYTES]));
  const contenders = SCENES.map((scene) => contender(deployment, scene));
  const results = await alternate(contenders, { rounds, signal, say });
  const runsOf = (scene: Scene): readonly Figures[] => results.get(scene) ?? [];
  const rows = SCENES.map((scene) => [
    scene,
    formatSpread(spreadOfFigure(runsOf(scene), 'limitSeconds')),
    formatSpread(spreadOfFigure(runsOf(scene), 'seconds')),
    formatSpread(spreadOfFigure(runsOf(scene), 'ratio')),
    formatSpread(spreadOfFigure(runsOf(scene), 'firstByteSeconds')),
  ]);
  say(
    `\n${setting.nodes} nodes and one that is late\n${formatTable(['', 'limit s', 's', 'ratio', 'first byte s'], rows)}`,
  );
  const figures = (scene: Scene): object => ({
    limitSeconds: round(spreadOfFigure(runsOf(scene), 'limitSeconds').median),
    seconds: round(spreadOfFigure(runsOf(scene), 'seconds').median),
    ratio: round(spreadOfFigure(runsOf(scene), 'ratio').median),
    registryBytes: spreadOfFigure(runsOf(scene), 'registryLogBytes').median,
  });
  return {
    after: figures('after'),
    halfway: figures('halfway'),
    opponents: { direct: figures('direct') },
    goodput: deployment.rates,
    rounds,
    setting,
  };
}

function contender(deployment: Deployment, scene: Scene): Contender {
  return {
    name: scene,
    measure: async () => {
      const image = await deployment.publish();
      const { rates } = deployment;
      const early = deployment.nodes.slice(0, -1);
      const late = deployment.nodes.slice(-1);
      const { blobBytes } = image;
      const wholeSeconds = limitSeconds(blobBytes, early.length, rates);
      await deployment.warmMemory(image);
      const before = await deployment.counters();
      const [figures, limit] = await play();
      const after = await deployment.counters();
      const { seconds = Number.NaN, firstByteSeconds = Number.NaN } = figures ?? {};
      return { limitSeconds: limit, seconds, ratio: seconds / limit, firstByteSeconds, ...spent(before, after) };

      async function play() {
        if (scene === 'direct')
          return [(await deployment.pull('direct', image, late))[0], blobBytes / rates.registryUp] as const;
        const others = deployment.pull('sealift', image, early);
        const ownLimit = lateLimitSeconds(blobBytes, early.length, rates);
        if (scene === 'after') {
          await others;
          return [(await deployment.pull('sealift', image, late))[0], ownLimit] as const;
        }
        await delay((wholeSeconds * 1000) / 2);
        const [[pulled]] = await Promise.all([deployment.pull('sealift', image, late), others]);
        // What the others still wait for it cannot have earlier; and all uplinks carry one copy more than for them alone.
        const rest = limitSeconds(blobBytes, early.length + 1, rates) - wholeSeconds / 2;
        return [pulled, Math.max(ownLimit, rest)] as const;
      }
    },
  };
}
