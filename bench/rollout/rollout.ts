import type { Benchmark, BenchmarkContext } from '../harness/benchmark.ts';
import { alternate, type Contender } from '../harness/rounds.ts';
import { type Figures, ratioSpread, round, type Spread, spreadOf, spreadOfFigure } from '../harness/statistics.ts';
import { formatSpread, formatTable } from '../harness/table.ts';
import { type Counters, Deployment, type PublishedImage, type Way } from './deployment.ts';
import { limitSeconds } from './limit.ts';
import { parseSetting, SETTING_OPTIONS } from './setting.ts';

const WAYS: readonly Way[] = ['sealift', 'direct', 'pull-through'];
/** A layer that every node pulls before the first round, in bytes: processes that serve a cluster have run before. */
const WARM_UP_BYTES = 4_000_000;

/** One image to many cold nodes at once, over links that are shaped. */
export const rolloutBenchmark: Benchmark = {
  name: 'rollout',
  summary:
    'N nodes pull one new image at the same moment over shaped links (Mbit/s, MB), against everybody straight from the ' +
    'registry and through one pull-through docker-registry; ratios to the physical limit',
  options: {
    ...SETTING_OPTIONS,
    'no-opponents': { type: 'boolean', default: false },
    'no-warm-up': { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
  defaultRounds: 3,
  run,
};

async function run({ scope, rounds, signal, say, values }: BenchmarkContext): Promise<object> {
  const setting = parseSetting(values);
  const profile = values['profile'] as string | undefined;
  await using deployment = await Deployment.start(setting, { scope, say, profile });
  if (values['no-warm-up'] !== true) await deployment.pull('sealift', await deployment.publish([WARM_UP_BYTES]));
  const ways = values['no-opponents'] === true ? WAYS.slice(0, 1) : WAYS;
  const images: PublishedImage[] = [];
  for (let number = 0; number < rounds; number += 1) images.push(await deployment.publish());
  const contenders = ways.map((way) => contender(deployment, way, images));
  const results = await alternate(contenders, { rounds, signal, say });
  const blobBytes = images[0]?.blobBytes ?? 0;
  const limit = limitSeconds(blobBytes, setting.nodes, deployment.rates);
  const runsOf = (way: Way): readonly Figures[] => results.get(way) ?? [];
  report(say, { limit, blobBytes, ways, runsOf, deployment });
  const ours = runsOf('sealift');
  return {
    limitSeconds: round(limit),
    ...summaryOf(ours, limit),
    registryBytes: spreadOfFigure(ours, 'registryLogBytes').median,
    registryInterfaceBytes: spreadOfFigure(ours, 'registryInterfaceBytes').median,
    blobBytes,
    seederBytes: spreadOfFigure(ours, 'seederInterfaceBytes').median,
    cpuSeconds: round(spreadOfFigure(ours, 'cpuSeconds').median),
    machineBusy: round(spreadOfFigure(ours, 'machineBusy').median),
    opponents: Object.fromEntries(ways.slice(1).map((way) => [way, summaryOfOpponent(runsOf(way), ours, limit)])),
    goodput: deployment.rates,
    spread: {
      p50Ratio: spreadOfRatio(ours, 'p50Seconds', limit),
      lastRatio: spreadOfRatio(ours, 'lastSeconds', limit),
    },
    rounds,
    setting,
  };
}

function contender(deployment: Deployment, way: Way, images: readonly PublishedImage[]): Contender {
  let turn = 0;
  return {
    name: way,
    measure: async () => {
      // The same image for all contenders of a round; each is the first to bring it to its nodes.
      const image = images[turn % images.length] as PublishedImage;
      turn += 1;
      await deployment.warmMemory(image);
      const before = await deployment.counters();
      const pulled = await deployment.pull(way, image);
      const after = await deployment.counters();
      const seconds = pulled.map((one) => one.seconds).toSorted((a, b) => a - b);
      return {
        p50Seconds: spreadOf(seconds).median,
        lastSeconds: seconds.at(-1) ?? Number.NaN,
        firstByteSeconds: spreadOf(pulled.map((one) => one.firstByteSeconds)).median,
        ...spent(before, after),
      };
    },
  };
}

/** What was counted between two looks. */
export function spent(before: Counters, after: Counters): Figures {
  const difference = (key: keyof Counters): number => after[key] - before[key];
  return {
    registryLogBytes: difference('registryLogBytes'),
    registryInterfaceBytes: difference('registryInterfaceBytes'),
    seederInterfaceBytes: difference('seederInterfaceBytes'),
    cpuSeconds: difference('sealiftCpuSeconds'),
    machineBusy: difference('busyCpuSeconds') / difference('totalCpuSeconds'),
  };
}

function summaryOf(runs: readonly Figures[], limit: number) {
  return {
    p50Ratio: round(spreadOfFigure(runs, 'p50Seconds').median / limit),
    lastRatio: round(spreadOfFigure(runs, 'lastSeconds').median / limit),
    p50Seconds: round(spreadOfFigure(runs, 'p50Seconds').median),
    lastSeconds: round(spreadOfFigure(runs, 'lastSeconds').median),
  };
}

function summaryOfOpponent(runs: readonly Figures[], ours: readonly Figures[], limit: number): object {
  return {
    ...summaryOf(runs, limit),
    registryBytes: spreadOfFigure(runs, 'registryLogBytes').median,
    registryInterfaceBytes: spreadOfFigure(runs, 'registryInterfaceBytes').median,
    sealiftLastToTheirs: round(ratioSpread(ours, runs, 'lastSeconds').median),
  };
}

function spreadOfRatio(runs: readonly Figures[], figure: string, limit: number): Spread {
  const { min, median, max } = spreadOfFigure(runs, figure);
  return { min: round(min / limit), median: round(median / limit), max: round(max / limit) };
}

function report(
  say: (text: string) => void,
  o: {
    limit: number;
    blobBytes: number;
    ways: readonly Way[];
    runsOf: (way: Way) => readonly Figures[];
    deployment: Deployment;
  },
): void {
  const { limit, blobBytes, ways, runsOf, deployment } = o;
  const head = ['', 'p50 / limit', 'last / limit', 'last s', 'first byte s', 'registry log / blob', 'interface / blob'];
  const rows = ways.map((way) => {
    const runs = runsOf(way);
    const scaled = (figure: string, by: number): string => {
      const { min, median, max } = spreadOfFigure(runs, figure);
      return formatSpread({ min: min / by, median: median / by, max: max / by });
    };
    return [
      way,
      scaled('p50Seconds', limit),
      scaled('lastSeconds', limit),
      scaled('lastSeconds', 1),
      scaled('firstByteSeconds', 1),
      scaled('registryLogBytes', blobBytes),
      scaled('registryInterfaceBytes', blobBytes),
    ];
  });
  const megabits = (rate: number): string => ((rate * 8) / 1e6).toFixed(0);
  const { registryUp, seederUp, peerUp, peerDown } = deployment.rates;
  say(
    `\n${deployment.setting.nodes} nodes, ${(blobBytes / 1e6).toFixed(1)} MB in ${deployment.setting.layers.length} layers, ` +
      `limit ${limit.toFixed(2)} s, min/median/max\nplain streams reach (Mbit/s): registry ${megabits(registryUp)}, ` +
      `seeder ${megabits(seederUp)}, peer up ${megabits(peerUp)}, down ${megabits(peerDown)}\n${formatTable(head, rows)}\n` +
      `Sealift: ${formatSpread(spreadOfFigure(runsOf('sealift'), 'cpuSeconds'))} CPU-s of all its processes, machine ` +
      `${formatSpread(spreadOfFigure(runsOf('sealift'), 'machineBusy'))} busy, seeder sent ` +
      `${(spreadOfFigure(runsOf('sealift'), 'seederInterfaceBytes').median / blobBytes).toFixed(2)} x the blob`,
  );
}
