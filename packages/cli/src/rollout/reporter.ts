import { MultiBar, type SingleBar } from 'cli-progress';
import type { HostOutcome, RolloutSummary } from './outcome.ts';
import type { PullProgress } from './pull-progress.ts';

/** Whom a rollout tells how it goes. Reasons that come from hosts are fit for a terminal already. */
export interface RolloutReporter {
  resolved(rollout: { readonly image: string; readonly digest: string; readonly hosts: number }): void;
  waveStarted(wave: number, hosts: readonly string[]): void;
  progress(host: string, progress: PullProgress): void;
  hostEnded(host: string, outcome: HostOutcome): void;
  summary(summary: RolloutSummary): void;
  /** Gives the terminal back. */
  stop(): void;
}

/** Bars at once on a terminal; of more hosts only the count of those that are done is shown. */
const MAX_BARS = 24;
/** How much further a host must be before a line says so, in percent: its lines then number a dozen at most. */
const PROGRESS_STEP = 10;
const MIB = 2 ** 20;

/** One JSON object to a line, for programs. */
export class JsonReporter implements RolloutReporter {
  readonly #print: (line: string) => void;
  readonly #shownPercent = new Map<string, number>();

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  resolved(rollout: { image: string; digest: string; hosts: number }): void {
    this.#event('resolved', rollout);
  }

  waveStarted(wave: number, hosts: readonly string[]): void {
    this.#event('wave_started', { wave, hosts });
  }

  progress(host: string, { layers, layersDone, bytes, totalBytes }: PullProgress): void {
    const percent = totalBytes === 0 ? 0 : Math.floor((bytes / totalBytes) * 100);
    // The whole grows while layers are found, so that a share may shrink.
    if (percent < (this.#shownPercent.get(host) ?? 0) + PROGRESS_STEP) return;
    this.#shownPercent.set(host, percent);
    this.#event('host_progress', { host, percent, bytes, totalBytes, layers, layersDone });
  }

  hostEnded(host: string, { kind, ...rest }: HostOutcome): void {
    const sources = 'sources' in rest ? { sources: rest.sources ?? 'unknown' } : {};
    this.#event(`host_${kind}`, { host, ...rest, ...sources });
  }

  summary({ sources, ...rest }: RolloutSummary): void {
    this.#event('summary', { ...rest, sources: sources ?? 'unknown' });
  }

  stop(): void {}

  #event(event: string, fields: object): void {
    this.#print(JSON.stringify({ event, ...fields }));
  }
}

/** Bars while it goes on, and a summary in words. */
export class TerminalReporter implements RolloutReporter {
  readonly #output: NodeJS.WriteStream;
  readonly #bars: MultiBar;
  readonly #hostBars = new Map<string, SingleBar>();
  #overall: SingleBar | undefined;
  #isStopped = false;

  constructor(output: NodeJS.WriteStream) {
    this.#output = output;
    this.#bars = new MultiBar({
      stream: output,
      format: '  {host}  {bar} {percentage}%  {said}',
      barCompleteChar: '█',
      barIncompleteChar: '░',
      // What is beside it has to fit into 80 columns.
      barsize: 20,
      clearOnComplete: false,
      stopOnComplete: false,
    });
  }

  resolved({ image, digest, hosts }: { image: string; digest: string; hosts: number }): void {
    this.#output.write(`${image} is ${digest}\n`);
    this.#overall = this.#bars.create(hosts, 0, { host: 'hosts'.padEnd(24), said: '' });
  }

  waveStarted(_wave: number, hosts: readonly string[]): void {
    for (const bar of this.#hostBars.values()) this.#bars.remove(bar);
    this.#hostBars.clear();
    if (hosts.length > MAX_BARS) return;
    for (const host of hosts) {
      this.#hostBars.set(host, this.#bars.create(100, 0, { host: host.padEnd(24), said: '' }));
    }
  }

  progress(host: string, { layers, layersDone, bytes, totalBytes }: PullProgress): void {
    const said = `${(bytes / MIB).toFixed(1)} MiB, ${layersDone}/${layers} layers`;
    const percent = totalBytes === 0 ? 0 : Math.floor((bytes / totalBytes) * 100);
    this.#hostBars.get(host)?.update(percent, { said });
  }

  hostEnded(host: string, outcome: HostOutcome): void {
    const isGood = outcome.kind === 'pulled' || outcome.kind === 'present';
    const said = outcome.kind === 'failed' ? `failed: ${outcome.reason}` : outcome.kind;
    this.#hostBars.get(host)?.update(isGood ? 100 : 0, { said });
    this.#overall?.increment();
  }

  summary(summary: RolloutSummary): void {
    this.stop();
    this.#output.write(`${formatSummary(summary).join('\n')}\n`);
  }

  stop(): void {
    // A second time it would draw the bars once more.
    if (!this.#isStopped) this.#bars.stop();
    this.#isStopped = true;
  }
}

/** The summary for people, a line each. */
export function formatSummary(summary: RolloutSummary): string[] {
  const { hosts, pulled, present, doneBefore, failed, interrupted, notStarted, sources } = summary;
  const good = pulled + present + doneBefore;
  const counts = {
    pulled,
    'had it': present,
    'done before': doneBefore,
    failed,
    interrupted,
    'not started': notStarted,
  };
  const told = Object.entries(counts).filter(([, count]) => count > 0);
  const parts = told.map(([what, count]) => `${count} ${what}`).join(', ');
  const bytes =
    sources === undefined
      ? 'unknown: no node was asked'
      : `registry ${mib(sources.registry)}, peers ${mib(sources.peers)}, cache ${mib(sources.cache)}` +
        (sources.knownHosts < pulled ? `, and unknown for ${pulled - sources.knownHosts} hosts` : '');
  return [
    `${good} of ${hosts} hosts have ${summary.image} (${summary.digest}) after ${summary.seconds.toFixed(1)} s: ${parts}`,
    ...(pulled === 0 ? [] : [`downloaded ${mib(summary.downloadedBytes)}; by source: ${bytes}`]),
    ...summary.slowest.slice(0, 3).map(({ host, seconds }) => `slowest: ${host} ${seconds.toFixed(1)} s`),
    ...summary.failures.map(({ host, reason }) => `failed: ${host}: ${reason}`),
    ...(failed > summary.failures.length ? [`failed: and ${failed - summary.failures.length} more`] : []),
  ];
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
