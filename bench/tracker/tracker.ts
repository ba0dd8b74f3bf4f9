import { hash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { type Benchmark, type BenchmarkContext, wholeNumber } from '../harness/benchmark.ts';
import { Party } from '../harness/party.ts';
import { alternate, type Contender } from '../harness/rounds.ts';
import type { Scope } from '../harness/scope.ts';
import { type Figures, round, type Spread, spreadOf, spreadOfFigure } from '../harness/statistics.ts';
import { demandParts, TASKSET } from '../harness/system-parts.ts';
import { formatSpread, formatTable } from '../harness/table.ts';
import type { JoinTarget, LoadResult } from './load-party.ts';
import type { LoadMember, TrackerAddress, TrackerOrder } from './tracker-party.ts';

/** Members enrolled and connected in one step, which bounds the length of a line between processes. */
const STEP = 250;
/** How often the swarm is emptied and filled for one figure of its memory. */
const MEMORY_TURNS = 3;

/** What one tracker process on one core can do. */
export const trackerBenchmark: Benchmark = {
  name: 'tracker',
  summary: 'one tracker process on one core: joins with grant, enrolments, announces in one swarm, memory of its peers',
  options: { peers: { type: 'string', default: '5000' }, seconds: { type: 'string', default: '3' } },
  defaultRounds: 3,
  run,
};

async function run({ scope, rounds, signal, say, values }: BenchmarkContext): Promise<object> {
  const peers = wholeNumber(values, 'peers', 100);
  const seconds = wholeNumber(values, 'seconds');
  demandParts([TASKSET], { say });
  const setting = await Setting.open(scope, { say });
  await setting.connect(peers);
  say(`${peers} nodes are connected`);
  const contenders: readonly Contender[] = [
    setting.rate('fresh joins', 'joins', { seconds, target: setting.target, isKnown: false }),
    setting.rate('known joins', 'joins', { seconds, target: setting.target, isKnown: true }),
    setting.rate('enrolments', 'enrolments', { seconds }),
    // Leaves the swarm full for whoever announces next.
    { name: 'memory', measure: () => setting.measureMemory(peers) },
    setting.rate('announces', 'announces', { seconds }),
  ];
  const results = await alternate(contenders, { rounds, signal, say });
  await setting.close();
  const spread = (name: string, figure: string): Spread => spreadOfFigure(results.get(name) ?? [], figure);
  const rows = ['known joins', 'fresh joins', 'enrolments', 'announces'].map((name) => [
    name,
    formatSpread(spread(name, 'perSecond')),
    formatSpread(spread(name, 'perCpuSecond')),
  ]);
  say(`\n${peers} peers in one swarm, ${rounds} rounds, min/median/max`);
  say(formatTable(['', 'per second', 'per CPU-second of the tracker'], rows));
  say(`bytes per 1,000 peers: ${formatSpread(spread('memory', 'bytesPer1000Peers'))}`);
  const median = (name: string, figure = 'perSecond'): number => round(spread(name, figure).median, 0);
  return {
    joinsPerSecond: median('known joins'),
    enrolmentsPerSecond: median('enrolments'),
    announcesPerSecond: median('announces'),
    bytesPer1000Peers: median('memory', 'bytesPer1000Peers'),
    freshJoinsPerSecond: median('fresh joins'),
    perCpuSecond: {
      joins: median('known joins', 'perCpuSecond'),
      freshJoins: median('fresh joins', 'perCpuSecond'),
      enrolments: median('enrolments', 'perCpuSecond'),
      announces: median('announces', 'perCpuSecond'),
    },
    rounds,
    peers,
  };
}

/** Three processes: the tracker on a core of its own, the load generator and a registry on the others. */
class Setting {
  readonly target: JoinTarget;
  readonly #tracker: Party;
  readonly #load: Party;
  readonly #parties: readonly Party[];
  #csrPem = '';

  private constructor(parts: { target: JoinTarget; tracker: Party; load: Party; registry: Party }) {
    this.target = parts.target;
    this.#tracker = parts.tracker;
    this.#load = parts.load;
    this.#parties = [parts.tracker, parts.load, parts.registry];
  }

  static async open(scope: Scope, { say }: { say: (text: string) => void }): Promise<Setting> {
    const cores = availableParallelism();
    if (cores < 2) say('there is only one core: the load generator takes its share of what is measured');
    const others = cores < 2 ? '0' : `1-${cores - 1}`;
    const tracker = pinned(scope, 'tracker-party.ts', '0');
    const load = pinned(scope, 'load-party.ts', others);
    const registry = pinned(scope, 'registry-party.ts', others);
    const place = await registry.ask<TrackerOrder['registry']>('start');
    const digest = `sha256:${hash('sha256', 'bench')}`;
    const target = { registry: place.host, repository: 'bench/image', digest };
    const dataDirectory = path.join(scope.directory, 'tracker');
    await mkdir(dataDirectory, { mode: 0o700 });
    const order: TrackerOrder = { dataDirectory, registry: place, repository: target.repository, digest };
    const address = await tracker.ask<TrackerAddress>('start', order);
    const setting = new Setting({ target, tracker, load, registry });
    setting.#csrPem = await load.ask<string>('start', address);
    return setting;
  }

  /** Enrols nodes, opens a connection for each, which stays, and announces it. */
  async connect(count: number): Promise<void> {
    for (let left = count; left > 0; left -= STEP) {
      const step = { csrPem: this.#csrPem, count: Math.min(STEP, left) };
      const members = await this.#tracker.ask<readonly LoadMember[]>('members', step);
      await this.#load.ask('connect', members);
    }
  }

  rate(name: string, act: string, argument: object): Contender {
    return {
      name,
      measure: async () => {
        const before = await this.#tracker.usage();
        const { count, seconds } = await this.#load.ask<LoadResult>(act, argument);
        const after = await this.#tracker.usage();
        const cpuSeconds = after.cpuSeconds - before.cpuSeconds;
        return { perSecond: count / seconds, perCpuSecond: count / cpuSeconds };
      },
    };
  }

  /**
   * Memory that goes when all peers leave and comes when they are back, the median of some times; their connections stay
   * open throughout. The swarm is full at the end.
   */
  async measureMemory(peers: number): Promise<Figures> {
    const differences: number[] = [];
    let full = await this.#memoryAfter('started', peers);
    for (let turn = 0; turn < MEMORY_TURNS; turn += 1) {
      const empty = await this.#memoryAfter('stopped', 0);
      differences.push(full - empty);
      full = await this.#memoryAfter('started', peers);
      differences.push(full - empty);
    }
    return { bytesPer1000Peers: (spreadOf(differences).median * 1000) / peers };
  }

  async close(): Promise<void> {
    await this.#tracker.ask('stop');
    await Promise.all(this.#parties.map((party) => party.stop()));
  }

  async #memoryAfter(event: 'started' | 'stopped', expectedPeers: number): Promise<number> {
    await this.#load.ask('announceAll', { event });
    const peers = await this.#tracker.ask<number>('peers');
    if (peers !== expectedPeers) throw new Error(`the swarm has ${peers} peers instead of ${expectedPeers}`);
    return await this.#tracker.ask<number>('memory');
  }
}

function pinned(scope: Scope, file: string, cores: string): Party {
  const node = [process.execPath, '--expose-gc', path.join(import.meta.dirname, file)];
  return Party.command(scope, 'taskset', ['--cpu-list', cores, ...node]);
}
