import { processesOf } from '../../test/testbed/sweep.ts';
import type { Stage } from '../stage.ts';
import type { Holding, Probe } from './probe.ts';
import { type Gauge, gaugeOf } from './process-gauge.ts';
import { hasGrown, type Sample, type Trend, trendOf } from './trend.ts';

/** Time for connections and waits to end once nobody pulls, in ms: the longest of them is an idle peer's two minutes. */
const REST_MS = 20_000;
/** A front holds little beside what it streams; an engine has buffers for what is under way. In MiB. */
const MAX_RESIDENT_MIB = { front: 400, engine: 500, tracker: 600 } as const;
/** At rest: files of the store (which are kept open on purpose), log, sockets, pipes, the event loop's own. */
const MAX_DESCRIPTORS = 300;
/** At rest: connections to peers and tracker that are kept for the next pull. */
const MAX_SOCKETS = 100;
/** At rest: one for each swarm, whose blobs the quota bounds, and those of services. */
const MAX_TIMERS = 150;
/**
 * What may be more at the end than in the middle. Resident memory swings by what is being streamed and yet to be collected;
 * the heap is measured after a collection.
 */
const MAX_GROWTH = { residentMiB: 48, heapMiB: 8, descriptors: 16, timers: 16, handles: 16 } as const;

type Role = keyof typeof MAX_RESIDENT_MIB;
type Measure = keyof typeof MAX_GROWTH;
type Seen = Gauge & Holding;

/** What processes were seen to hold. */
export interface WatchReport {
  /** The most that any process of a role held. */
  readonly peak: Readonly<Record<Role, Gauge>>;
  /** The same at the end, when nobody pulls. */
  readonly atRest: Readonly<Record<Role, Seen>>;
  /** What became of the processes that lived through the second half; `null` if that was too short to tell. */
  readonly trends: Readonly<Record<Role, Readonly<Record<Measure, Trend | null>>>>;
  /** Processes of the testbed beyond those that were started. */
  readonly strayProcesses: number;
}

const NO_GAUGE: Gauge = { residentMiB: 0, descriptors: 0, sockets: 0 };
const NOTHING: Seen = { ...NO_GAUGE, heapMiB: 0, timers: 0, handles: 0 };
const ROLES = Object.keys(MAX_RESIDENT_MIB) as readonly Role[];
const MEASURES = Object.keys(MAX_GROWTH) as readonly Measure[];

/** Looks at all processes of a stage again and again, and closely at those of one node and at the tracker. */
export class Watch {
  readonly #stage: Stage;
  readonly #probe: Probe;
  /** The node that nothing happens to. */
  readonly #steady: string;
  readonly #startedAt = performance.now();
  readonly #series: Record<Role, { readonly pid: number; readonly samples: (Seen & { minute: number })[] }>;
  #peak: Record<Role, Gauge> = { front: NO_GAUGE, engine: NO_GAUGE, tracker: NO_GAUGE };
  #atRest: Record<Role, Seen> = { front: NOTHING, engine: NOTHING, tracker: NOTHING };
  #strays = 0;

  constructor(stage: Stage, { probe, steady }: { probe: Probe; steady: string }) {
    this.#stage = stage;
    this.#probe = probe;
    this.#steady = steady;
    const none = () => ({ pid: 0, samples: [] });
    this.#series = { front: none(), engine: none(), tracker: none() };
  }

  /** Looks at all from outside. */
  look(): void {
    for (const [role, pid] of this.#processes()) {
      const gauge = gaugeOf(pid);
      if (gauge !== undefined) this.#peak = { ...this.#peak, [role]: most(this.#peak[role], gauge) };
    }
  }

  /** Asks the processes that live on what they hold. */
  async sample(): Promise<void> {
    for (const [role, pid] of this.#processes({ names: [this.#steady] })) {
      const seen = await this.#seen(pid);
      if (seen === undefined) continue;
      // A tracker that was started anew is another one.
      if (this.#series[role].pid !== pid) this.#series[role] = { pid, samples: [] };
      this.#series[role].samples.push({ ...seen, minute: (performance.now() - this.#startedAt) / 60_000 });
    }
  }

  /** Waits until all is quiet, and looks at what is left. */
  async rest(): Promise<void> {
    await this.#stage.pause(REST_MS);
    for (const [role, pid] of this.#processes()) {
      const seen = await this.#seen(pid);
      if (seen !== undefined) this.#atRest = { ...this.#atRest, [role]: most(this.#atRest[role], seen) };
    }
    const pids = await processesOf(this.#stage.cluster.testbed.name);
    // Registry, token server, tracker; a front and its engine for each node; the tracker and engines have no children.
    this.#strays = pids.length - (3 + 2 * this.#stage.names.length);
  }

  summary(): string {
    return Object.entries(this.#peak)
      .map(([role, { residentMiB, descriptors }]) => `${role} ${Math.round(residentMiB)} MiB ${descriptors} fds`)
      .join(', ');
  }

  report(): WatchReport {
    const trends = Object.fromEntries(ROLES.map((role) => [role, this.#trendsOf(role)])) as WatchReport['trends'];
    return { peak: this.#peak, atRest: this.#atRest, trends, strayProcesses: this.#strays };
  }

  /** Which bounds were broken. */
  problems(): string[] {
    const problems: string[] = [];
    for (const role of ROLES) {
      const { residentMiB } = this.#peak[role];
      const { descriptors, sockets, timers } = this.#atRest[role];
      if (residentMiB > MAX_RESIDENT_MIB[role]) problems.push(`a ${role} held ${Math.round(residentMiB)} MiB`);
      if (descriptors > MAX_DESCRIPTORS) problems.push(`a ${role} holds ${descriptors} descriptors at rest`);
      if (sockets > MAX_SOCKETS) problems.push(`the host of a ${role} has ${sockets} TCP sockets at rest`);
      if (timers > MAX_TIMERS) problems.push(`a ${role} has ${timers} timers at rest`);
      for (const [measure, trend] of Object.entries(this.#trendsOf(role)) as [Measure, Trend | null][]) {
        if (trend === null || !hasGrown(trend, MAX_GROWTH[measure])) continue;
        const [from, to] = [Math.round(trend.from), Math.round(trend.to)];
        problems.push(`${measure} of the ${role} that lived on grew from ${from} to ${to}`);
      }
    }
    if (this.#strays > 0) problems.push(`${this.#strays} processes too many`);
    return problems;
  }

  #trendsOf(role: Role): Readonly<Record<Measure, Trend | null>> {
    const { samples } = this.#series[role];
    const seriesOf = (measure: Measure): Sample[] =>
      samples.map((seen) => ({ minute: seen.minute, value: seen[measure] }));
    const trends = MEASURES.map((measure) => [measure, trendOf(seriesOf(measure)) ?? null]);
    return Object.fromEntries(trends) as Record<Measure, Trend | null>;
  }

  async #seen(pid: number): Promise<Seen | undefined> {
    const holding = await this.#probe.ask(pid);
    const gauge = gaugeOf(pid);
    return holding === undefined || gauge === undefined ? undefined : { ...gauge, ...holding };
  }

  *#processes({ names = this.#stage.names }: { names?: readonly string[] } = {}): Generator<readonly [Role, number]> {
    const { cluster } = this.#stage;
    yield ['tracker', cluster.tracker.service.pid];
    for (const name of names) {
      yield ['front', this.#stage.node(name).service.pid];
      for (const pid of this.#stage.enginePids(name)) yield ['engine', pid];
    }
  }
}

function most<T extends Readonly<Record<keyof T, number>>>(a: T, b: T): T {
  const names = Object.keys(a) as (keyof T)[];
  return Object.fromEntries(names.map((name) => [name, Math.max(a[name], b[name])])) as T;
}
