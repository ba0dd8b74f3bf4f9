import path from 'node:path';
import { pieceLengthFor } from '@sealift/core';
import { isRoot } from '../../scripts/system-parts.mjs';
import { type Benchmark, type BenchmarkContext, UsageError, wholeNumber } from '../harness/benchmark.ts';
import { Party } from '../harness/party.ts';
import { round } from '../harness/statistics.ts';
import { formatTable } from '../harness/table.ts';
import { rolloutBenchmark } from '../rollout/rollout.ts';
import type { SimResult, SimSetting } from './simulation.ts';

const MB = 1_000_000;
/** Node counts beside the one that is asked for. 16 is what `bench -- rollout` has. */
const COUNTS = [10, 16, 100, 1_000];
const ROLLOUT_NODES = 16;
/** Part of all cores in use from which on a rollout says more about the machine than about the links. */
const MACHINE_IS_LIMIT = 0.9;
/** What rates are divided by then: the cores have as much longer for the same work. */
const SLOWDOWN = 5;
const LINKS = ['registry', 'peer', 'seeder', 'peer-down'] as const;
/** Memory of one simulation, in MiB: 10,000 nodes with some 30 connections each, twice. */
const MAX_HEAP_MIB = 8_192;
const NODE_ARGS = [`--max-old-space-size=${MAX_HEAP_MIB}`, '--max-semi-space-size=64'];

/** The picker, scheduler, choker, super-seeder and handout of production, on simulated links. */
export const simBenchmark: Benchmark = {
  name: 'sim',
  summary:
    'the deciding classes of production on simulated links and clock: one blob to N nodes at once, with two sites, ' +
    'stragglers and churn (Mbit/s, MB, per cent); ratios to the physical limit',
  options: {
    nodes: { type: 'string', default: '10000' },
    registry: { type: 'string', default: '100' },
    seeder: { type: 'string' },
    peer: { type: 'string', default: '400' },
    'peer-down': { type: 'string' },
    size: { type: 'string', default: '64' },
    sites: { type: 'string', default: '2' },
    stragglers: { type: 'string', default: '2' },
    churn: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    'no-compare': { type: 'boolean', default: false },
  },
  defaultRounds: 1,
  run,
};

async function run(context: BenchmarkContext): Promise<object> {
  const { scope, say, values } = context;
  const largest = parseSetting(values);
  const counts = [...COUNTS.filter((count) => count < largest.nodes), largest.nodes];
  const results = new Map<number, SimResult>();
  // The largest takes longest: it has a process, and with it a core, of its own.
  const simulateAll = async (some: readonly number[]): Promise<void> => {
    for (const nodes of some) {
      const party = Party.node(scope, path.join(import.meta.dirname, 'sim-party.ts'), { nodeArgs: NODE_ARGS });
      try {
        const startedAt = performance.now();
        results.set(nodes, await party.ask<SimResult>('simulate', { ...largest, nodes } satisfies SimSetting));
        say(`${nodes} nodes: simulated in ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
      } finally {
        await party.stop();
      }
    }
  };
  await Promise.all([simulateAll(counts.slice(0, -1)), simulateAll(counts.slice(-1))]);
  const summaries = counts.map((nodes) => [nodes, summaryOf(results.get(nodes) as SimResult)] as const);
  report(say, summaries);
  const growth = growthOf(new Map(summaries), largest.nodes);
  if (growth !== undefined) say(`p99 grows by a factor of ${growth} from 100 to ${largest.nodes} nodes`);
  const agreement = values['no-compare'] === true ? undefined : await compare(context);
  return {
    ...Object.fromEntries(summaries),
    ...(growth === undefined ? {} : { growthFrom100: growth }),
    ...(agreement === undefined ? {} : { agreement }),
    setting: largest,
  };
}

type Summary = ReturnType<typeof summaryOf>;

function summaryOf({ finishes, ...result }: SimResult) {
  const ratios = finishes.map(({ seconds, limitSeconds }) => seconds / limitSeconds).toSorted((a, b) => a - b);
  // The smallest ratio that so many are not above.
  const quantile = (share: number): number => round(ratios[Math.ceil(share * ratios.length) - 1] ?? Number.NaN);
  return {
    p50Ratio: quantile(0.5),
    p99Ratio: quantile(0.99),
    lastRatio: quantile(1),
    limitSeconds: round(result.limitSeconds),
    unfinished: result.unfinished,
    messagesPerNode: round(result.messagesPerNode, 0),
    trackerRequestsPerNode: round(result.trackerRequestsPerNode, 2),
    dialsPerNode: round(result.dialsPerNode, 1),
    seederCopies: round(result.seederCopies, 2),
    wasted: round(result.wasted, 4),
  };
}

function growthOf(summaries: ReadonlyMap<number, Summary>, largest: number): number | undefined {
  const [small, large] = [summaries.get(100), summaries.get(largest)];
  return small === undefined || large === undefined || largest <= 100
    ? undefined
    : round(large.p99Ratio / small.p99Ratio);
}

function report(say: (text: string) => void, summaries: readonly (readonly [number, Summary])[]): void {
  const head = [
    'nodes',
    'p50',
    'p99',
    'last / limit',
    'limit s',
    'messages',
    'tracker requests',
    'dials',
    'seeder copies',
  ];
  const rows = summaries.map(([nodes, one]) => [
    String(nodes),
    one.p50Ratio.toFixed(3),
    one.p99Ratio.toFixed(3),
    one.lastRatio.toFixed(3),
    one.limitSeconds.toFixed(2),
    String(one.messagesPerNode),
    String(one.trackerRequestsPerNode),
    String(one.dialsPerNode),
    String(one.seederCopies),
  ]);
  say(`\nratios to the limit; messages, requests and dials per node\n${formatTable(head, rows)}`);
  for (const [nodes, { unfinished }] of summaries) {
    if (unfinished > 0) say(`${unfinished} of ${nodes} nodes never came to an end`);
  }
}

/**
 * The same 16 nodes on shaped links of this machine, with the whole program: at the rates that are asked for, and where
 * its cores do not suffice for those, at slower ones.
 */
async function compare(context: BenchmarkContext): Promise<Agreement | undefined> {
  if (!isRoot()) {
    context.say(`not compared with \`bench -- rollout\`: network namespaces need root on Linux`);
    return undefined;
  }
  const first = await compareAt(context, context.values);
  if (first.machineBusy < MACHINE_IS_LIMIT) return first;
  context.say(
    `the cores were the limit, not the links (${percent(first.machineBusy)} busy): again at a fifth of the rates`,
  );
  const slower = LINKS.map((name) => [name, slowed(context.values[name])]);
  return await compareAt(context, { ...context.values, ...Object.fromEntries(slower) });
}

/** 0 is a link without a limit. */
function slowed(rate: unknown): unknown {
  return rate === undefined ? undefined : String(Number(rate) / SLOWDOWN);
}

interface Ratios {
  readonly p50Ratio: number;
  readonly lastRatio: number;
}

interface Agreement {
  readonly simulated: Ratios;
  readonly rollout: Ratios;
  /** The simulated ratio divided by the measured one. */
  readonly p50: number;
  readonly last: number;
  readonly machineBusy: number;
  /** Rates in Mbit/s. */
  readonly links: object;
}

async function compareAt(context: BenchmarkContext, values: BenchmarkContext['values']): Promise<Agreement> {
  const { scope, say } = context;
  const even: SimSetting = { ...parseSetting(values), nodes: ROLLOUT_NODES, sites: 1, stragglers: 0, churn: 0 };
  const party = Party.node(scope, path.join(import.meta.dirname, 'sim-party.ts'));
  const simulated = summaryOf(await party.ask<SimResult>('simulate', even).finally(() => party.stop()));
  const links = Object.fromEntries(LINKS.map((name) => [name, values[name]]));
  const rollout = (await rolloutBenchmark.run({
    ...context,
    values: { ...links, nodes: String(ROLLOUT_NODES), layers: '1', size: values['size'], 'no-opponents': true },
  })) as Ratios & { machineBusy: number };
  const [p50, last] = [simulated.p50Ratio / rollout.p50Ratio, simulated.lastRatio / rollout.lastRatio];
  say(
    `\n${ROLLOUT_NODES} nodes, simulated against \`bench -- rollout\`: p50 ${simulated.p50Ratio} against ${rollout.p50Ratio},`,
  );
  say(
    `last ${simulated.lastRatio} against ${rollout.lastRatio}: ${percent(Math.abs(p50 - 1))} and ${percent(Math.abs(last - 1))} apart`,
  );
  return {
    simulated: { p50Ratio: simulated.p50Ratio, lastRatio: simulated.lastRatio },
    rollout: { p50Ratio: rollout.p50Ratio, lastRatio: rollout.lastRatio },
    p50: round(p50),
    last: round(last),
    machineBusy: rollout.machineBusy,
    links,
  };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function parseSetting(values: BenchmarkContext['values']): SimSetting {
  const peerUp = numberOf(values, 'peer');
  const registryUp = numberOf(values, 'registry');
  const seederUp = values['seeder'] === undefined ? peerUp : numberOf(values, 'seeder');
  // As in `bench -- rollout`.
  const peerDown = values['peer-down'] === undefined ? Math.max(registryUp, peerUp) : numberOf(values, 'peer-down');
  const sizeBytes = Math.round(numberOf(values, 'size') * MB);
  return {
    nodes: wholeNumber(values, 'nodes'),
    registryUp,
    seederUp,
    peerUp,
    peerDown,
    sizeBytes,
    pieceLength: pieceLengthFor(sizeBytes),
    sites: wholeNumber(values, 'sites'),
    stragglers: shareOf(values, 'stragglers'),
    churn: shareOf(values, 'churn'),
    seed: wholeNumber(values, 'seed'),
  };
}

function numberOf(values: BenchmarkContext['values'], name: string): number {
  const value = Number(values[name]);
  if (!Number.isFinite(value) || value <= 0) throw new UsageError(`--${name} wants a number above 0`);
  return value;
}

function shareOf(values: BenchmarkContext['values'], name: string): number {
  const value = Number(values[name]);
  if (!(value >= 0 && value <= 40)) throw new UsageError(`--${name} wants per cent, 0 to 40`);
  return value / 100;
}
