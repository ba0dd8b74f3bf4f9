import { BenchCluster } from '../engine/cluster.ts';
import { SealiftSetting } from '../engine/sealift.ts';
import { type Benchmark, type BenchmarkContext, wholeNumber } from '../harness/benchmark.ts';
import { createPayload } from '../harness/payload.ts';
import { residentMiBOf } from '../harness/process-usage.ts';
import { round, spreadOf } from '../harness/statistics.ts';
import { formatNumber, formatTable } from '../harness/table.ts';

const MIB = 1024 * 1024;
/** Time between two looks at the memory of a process, in ms: many for each blob. */
const SAMPLE_MS = 100;

/** Resident memory of one process over the whole run, in MiB. */
interface MemoryOverTime {
  readonly min: number;
  readonly max: number;
  /** Largest in each quarter of the run: memory that leaks grows from one to the next. */
  readonly maxOfQuarters: readonly number[];
}

/** Whether the memory of a node stays flat: blob after blob goes from one process to another, and is deleted there. */
export const memoryBenchmark: Benchmark = {
  name: 'memory',
  summary: 'resident memory of a seeder and a leecher over time, while many blobs go from one to the other',
  options: {
    size: { type: 'string', default: '10240' },
    'blob-size': { type: 'string', default: '512' },
    'piece-length': { type: 'string', default: '1024' },
  },
  defaultRounds: 1,
  run,
};

async function run({ scope, signal, values, say }: BenchmarkContext): Promise<object> {
  const blobMiB = wholeNumber(values, 'blob-size');
  const times = Math.ceil(wholeNumber(values, 'size') / blobMiB);
  const pieceLength = wholeNumber(values, 'piece-length', 16) * 1024;
  const payload = await createPayload(scope.directory, { size: blobMiB * MIB, pieceLength });
  const setting = new SealiftSetting(scope, await BenchCluster.create(), payload);
  await using pair = await setting.startPair();
  const samples = { seeder: [] as number[], leecher: [] as number[] };
  const timer = setInterval(() => {
    for (const role of ['seeder', 'leecher'] as const) samples[role].push(residentMiBOf(pair[role].pid));
  }, SAMPLE_MS);
  try {
    for (let count = 1; count <= times; count += 1) {
      signal.throwIfAborted();
      await pair.download();
      await pair.demandEqual();
      await pair.forget();
      const [seeder = Number.NaN, leecher = Number.NaN] = [samples.seeder.at(-1), samples.leecher.at(-1)];
      say(`${count * blobMiB} MiB: seeder ${formatNumber(seeder)} MiB, leecher ${formatNumber(leecher)} MiB`);
    }
  } finally {
    clearInterval(timer);
  }
  await pair.stopEngines();
  const result = {
    movedBytes: times * payload.size,
    seeder: overTime(samples.seeder),
    leecher: overTime(samples.leecher),
  };
  say(`\n${times} times ${blobMiB} MiB, resident MiB\n${tableOf(result)}`);
  return result;
}

function overTime(samples: readonly number[]): MemoryOverTime {
  const { min, max } = spreadOf(samples);
  const quarter = (number: number): readonly number[] =>
    samples.slice(Math.floor((number * samples.length) / 4), Math.ceil(((number + 1) * samples.length) / 4));
  return {
    min: round(min, 1),
    max: round(max, 1),
    maxOfQuarters: [0, 1, 2, 3].map((number) => round(Math.max(...quarter(number)), 1)),
  };
}

function tableOf(result: { seeder: MemoryOverTime; leecher: MemoryOverTime }): string {
  const rows = (['seeder', 'leecher'] as const).map((role) => {
    const { min, max, maxOfQuarters } = result[role];
    return [role, ...[min, max, ...maxOfQuarters].map(formatNumber)];
  });
  return formatTable(['', 'min', 'max', 'max of 1st quarter', '2nd', '3rd', '4th'], rows);
}
