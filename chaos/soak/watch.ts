import { processesOf } from '../../test/testbed/sweep.ts';
import type { Stage } from '../stage.ts';
import { type Gauge, gaugeOf } from './process-gauge.ts';

/** Time for connections and waits to end once nobody pulls, in ms: the longest of them is an idle peer's two minutes. */
const REST_MS = 20_000;
/** A front holds little beside what it streams; an engine has buffers for what is under way. In MiB. */
const MAX_RESIDENT_MIB = { front: 400, engine: 500, tracker: 600 } as const;
/** At rest: files of the store (which are kept open on purpose), log, sockets, pipes, the event loop's own. */
const MAX_DESCRIPTORS = 300;
/** At rest: connections to peers and tracker that are kept for the next pull. */
const MAX_SOCKETS = 100;

type Role = keyof typeof MAX_RESIDENT_MIB;

/** The most that a process of each role was seen to hold, and at the end. */
export interface WatchReport {
  readonly peak: Readonly<Record<Role, Gauge>>;
  readonly atRest: Readonly<Record<Role, Gauge>>;
  /** Processes of the testbed beyond those that were started. */
  readonly strayProcesses: number;
}

const NOTHING: Gauge = { residentMiB: 0, descriptors: 0, sockets: 0 };

/** Looks at all processes of a stage again and again. */
export class Watch {
  readonly #stage: Stage;
  #peak: Record<Role, Gauge> = { front: NOTHING, engine: NOTHING, tracker: NOTHING };
  #atRest: Record<Role, Gauge> = this.#peak;
  #firstProcesses: number | undefined;
  #strays = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  look(): void {
    for (const [role, gauge] of this.#gauges()) this.#peak = { ...this.#peak, [role]: most(this.#peak[role], gauge) };
  }

  /** Waits until all is quiet, and looks at what is left. */
  async rest(): Promise<void> {
    await this.#stage.pause(REST_MS);
    for (const [role, gauge] of this.#gauges()) {
      this.#atRest = { ...this.#atRest, [role]: most(this.#atRest[role], gauge) };
    }
    const pids = await processesOf(this.#stage.cluster.testbed.name);
    // Registry, token server, tracker; a front and its engine for each node; the tracker and engines have no children.
    this.#firstProcesses = 3 + 2 * this.#stage.names.length;
    this.#strays = pids.length - this.#firstProcesses;
  }

  summary(): string {
    return Object.entries(this.#peak)
      .map(([role, { residentMiB, descriptors }]) => `${role} ${Math.round(residentMiB)} MiB ${descriptors} fds`)
      .join(', ');
  }

  report(): WatchReport {
    return { peak: this.#peak, atRest: this.#atRest, strayProcesses: this.#strays };
  }

  /** Which bounds were broken. */
  problems(): string[] {
    const problems: string[] = [];
    for (const role of Object.keys(MAX_RESIDENT_MIB) as Role[]) {
      const { residentMiB } = this.#peak[role];
      const { descriptors, sockets } = this.#atRest[role];
      if (residentMiB > MAX_RESIDENT_MIB[role]) problems.push(`a ${role} held ${Math.round(residentMiB)} MiB`);
      if (descriptors > MAX_DESCRIPTORS) problems.push(`a ${role} holds ${descriptors} descriptors at rest`);
      if (sockets > MAX_SOCKETS) problems.push(`the host of a ${role} has ${sockets} TCP sockets at rest`);
    }
    if (this.#strays > 0) problems.push(`${this.#strays} processes too many`);
    return problems;
  }

  *#gauges(): Generator<readonly [Role, Gauge]> {
    const { names, cluster } = this.#stage;
    yield ['tracker', gaugeOf(cluster.tracker.service.pid)];
    for (const name of names) {
      yield ['front', gaugeOf(this.#stage.node(name).service.pid)];
      for (const pid of this.#stage.enginePids(name)) yield ['engine', gaugeOf(pid)];
    }
  }
}

function most(a: Gauge, b: Gauge): Gauge {
  return {
    residentMiB: Math.max(a.residentMiB, b.residentMiB),
    descriptors: Math.max(a.descriptors, b.descriptors),
    sockets: Math.max(a.sockets, b.sockets),
  };
}
