import path from 'node:path';
import type { SwarmId } from '@sealift/core';
import { ENGINE_HEAP_ARGS } from '../../packages/cli/src/heap.ts';
import { BenchCluster, type BenchMember, REGISTRY } from '../engine/cluster.ts';
import { startOrder } from '../engine/sealift.ts';
import type { DownloadOrder, IngestOrder, Neighbour } from '../engine/sealift-party.ts';
import { type Benchmark, type BenchmarkContext, wholeNumber } from '../harness/benchmark.ts';
import { demandEqualFiles } from '../harness/files.ts';
import { Party } from '../harness/party.ts';
import { createPayload, type Payload } from '../harness/payload.ts';
import { residentMiBOf } from '../harness/process-usage.ts';
import { round, type Spread, spreadOf } from '../harness/statistics.ts';
import { formatSpread, formatTable } from '../harness/table.ts';

const PARTY = path.join(import.meta.dirname, '../engine/sealift-party.ts');
const MEGABIT = 1e6 / 8;

/** CPU time in ms by thread, see `threadCpuSeconds`. */
type Threads = Readonly<Record<string, number>>;

/** What one round took. */
interface Round {
  readonly seconds: number;
  /** Of all engines together. */
  readonly cpuSeconds: number;
  readonly seeder: Threads;
  /** Mean of the leechers. */
  readonly leecher: Threads;
}

/**
 * What a rollout costs the engines alone: no registry, fronts or clients, no namespaces, no shaped links. With less around
 * it, it is the steadiest measure of a change to the engine.
 */
export const swarmBenchmark: Benchmark = {
  name: 'swarm',
  summary: 'CPU time of many engines that share one blob over loopback, thread by thread, at the pace of a registry',
  options: {
    nodes: { type: 'string', default: '16' },
    registry: { type: 'string', default: '100' },
    size: { type: 'string', default: '64' },
    'piece-length': { type: 'string', default: '512' },
  },
  defaultRounds: 5,
  run,
};

async function run({ scope, signal, rounds, values, say }: BenchmarkContext): Promise<object> {
  const payload = await createPayload(scope.directory, {
    size: wholeNumber(values, 'size') * 1e6,
    pieceLength: wholeNumber(values, 'piece-length', 16) * 1024,
  });
  const engines = await Engines.start(scope, { payload, nodes: wholeNumber(values, 'nodes') });
  const bytesPerSecond = wholeNumber(values, 'registry') * MEGABIT;
  const results: Round[] = [];
  for (let number = 1; number <= rounds; number += 1) {
    signal.throwIfAborted();
    const result = await engines.rollOut(bytesPerSecond);
    say(`round ${number}/${rounds}: ${round(result.seconds, 2)} s, ${round(result.cpuSeconds, 2)} CPU-s`);
    results.push(result);
  }
  const residentMiB = spreadOf(engines.residentMiB);
  await engines.stop();
  const spreads = {
    seconds: spreadOf(results.map((one) => one.seconds)),
    cpuSeconds: spreadOf(results.map((one) => one.cpuSeconds)),
    residentMiB,
    leecher: spreadOfThreads(results, 'leecher'),
    seeder: spreadOfThreads(results, 'seeder'),
  };
  say(`\n${tableOf(spreads)}`);
  return {
    seconds: round(spreads.seconds.median),
    cpuSeconds: round(spreads.cpuSeconds.median),
    residentMiB: round(residentMiB.median),
    leecher: mediansOf(spreads.leecher),
    seeder: mediansOf(spreads.seeder),
    spreads,
  };
}

interface Spreads {
  readonly seconds: Spread;
  readonly cpuSeconds: Spread;
  readonly residentMiB: Spread;
  readonly leecher: Readonly<Record<string, Spread>>;
  readonly seeder: Readonly<Record<string, Spread>>;
}

function tableOf({ seconds, cpuSeconds, residentMiB, leecher, seeder }: Spreads): string {
  const rows = Object.entries(leecher)
    .filter(([, { max }]) => max >= 1)
    .map(([name, spread]) => [
      name,
      formatSpread(spread),
      seeder[name] === undefined ? '' : formatSpread(seeder[name]),
    ]);
  return [
    `${formatSpread(seconds)} s, ${formatSpread(cpuSeconds)} CPU-s of all engines, ${formatSpread(residentMiB)} MiB each`,
    formatTable(['CPU time, ms', 'of a leecher', 'of the seeder'], rows),
  ].join('\n\n');
}

function mediansOf(spreads: Readonly<Record<string, Spread>>): Threads {
  return Object.fromEntries(Object.entries(spreads).map(([name, { median }]) => [name, round(median)]));
}

function spreadOfThreads(rounds: readonly Round[], role: 'seeder' | 'leecher'): Record<string, Spread> {
  const names = Object.keys(rounds[0]?.[role] ?? {});
  return Object.fromEntries(names.map((name) => [name, spreadOf(rounds.map((one) => one[role][name] ?? 0))]));
}

/** A seeder and leechers, each in a process of its own, that all know one another. */
class Engines {
  readonly #cluster: BenchCluster;
  readonly #payload: Payload;
  readonly #swarmId: SwarmId;
  /** The seeder first. */
  readonly #parties: readonly Party[];

  private constructor(parts: { cluster: BenchCluster; payload: Payload; parties: readonly Party[] }) {
    this.#cluster = parts.cluster;
    this.#payload = parts.payload;
    this.#swarmId = parts.cluster.swarmId(parts.payload.digest);
    this.#parties = parts.parties;
  }

  static async start(
    scope: BenchmarkContext['scope'],
    { payload, nodes }: { payload: Payload; nodes: number },
  ): Promise<Engines> {
    const cluster = await BenchCluster.create();
    const names = Array.from({ length: nodes }, (_, index) => `node-${index}`);
    const members = [cluster.seeder, ...(await Promise.all(names.map((name) => cluster.node(name))))];
    const parties = members.map(() => Party.node(scope, PARTY, { nodeArgs: ENGINE_HEAP_ARGS }));
    const neighbours = await Promise.all(
      parties.map(async (party, index): Promise<Neighbour> => {
        const member = members[index] as BenchMember;
        const use = member === cluster.seeder ? 'seed' : 'trade';
        const store = path.join(scope.directory, `store-${member.nodeId}`);
        const port = await party.ask<number>('start', await startOrder(cluster, payload, { member, use, store }));
        return { host: '127.0.0.1', port, nodeId: member.nodeId };
      }),
    );
    await Promise.all(parties.map((party, index) => party.ask('meet', neighbours.toSpliced(index, 1))));
    return new Engines({ cluster, payload, parties });
  }

  /** Memory of each process, the seeder's first. */
  get residentMiB(): readonly number[] {
    return this.#parties.map(({ pid }) => residentMiBOf(pid));
  }

  /** All leechers fetch while the seeder reads; all that they got is compared, and deleted. */
  async rollOut(bytesPerSecond: number): Promise<Round> {
    const [seeder, ...leechers] = this.#parties as [Party, ...Party[]];
    const { digest, size, pieceLength, file } = this.#payload;
    const blob = { registry: REGISTRY, digest, swarmId: this.#swarmId, size, pieceLength };
    const before = await this.#threads();
    const began = performance.now();
    const { contentKeyPem } = this.#cluster;
    const read = seeder.ask('ingest', { ...blob, file, contentKeyPem, bytesPerSecond } satisfies IngestOrder);
    const order: DownloadOrder = { ...blob, batches: [] };
    await Promise.all([read, ...leechers.map((leecher) => leecher.ask('download', order))]);
    const seconds = (performance.now() - began) / 1_000;
    const used = (await this.#threads()).map((threads, index) => difference(threads, before[index] ?? {}));
    for (const leecher of leechers) await demandEqualFiles(file, await leecher.ask<string>('dataFile', blob));
    for (const party of this.#parties) await party.ask('forget', blob);
    const [ofSeeder = {}, ...ofLeechers] = used;
    return { seconds, cpuSeconds: totalMs(used) / 1_000, seeder: ofSeeder, leecher: mean(ofLeechers) };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#parties.map((party) => party.ask('stop')));
    await Promise.all(this.#parties.map((party) => party.stop()));
  }

  async #threads(): Promise<readonly Threads[]> {
    const all = await Promise.all(this.#parties.map((party) => party.ask<Threads>('threads')));
    return all.map((threads) => Object.fromEntries(Object.entries(threads).map(([name, s]) => [name, 1_000 * s])));
  }
}

function difference(after: Threads, before: Threads): Threads {
  return Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, ms - (before[name] ?? 0)]));
}

function totalMs(all: readonly Threads[]): number {
  return all.flatMap((threads) => Object.values(threads)).reduce((sum, ms) => sum + ms, 0);
}

function mean(all: readonly Threads[]): Threads {
  const names = new Set(all.flatMap((threads) => Object.keys(threads)));
  const of = (name: string): number => all.reduce((sum, threads) => sum + (threads[name] ?? 0), 0) / all.length;
  return Object.fromEntries([...names].map((name) => [name, of(name)]));
}
