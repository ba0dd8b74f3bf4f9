import type { Clock } from '@sealift/core';

/** Where a rollout stands. `stopped`: too many hosts have failed, and some were never started. */
export type PlanState = 'running' | 'finished' | 'stopped';

interface Run {
  readonly startedAt: number;
  endedAt?: number;
}

/**
 * Which hosts pull when. They are taken in waves, in their order: the next wave begins when the one before has ended, unless more
 * hosts have failed than may. Pure: says whom to start, and is told how each ended.
 */
export class WavePlan {
  readonly #waves: readonly (readonly string[])[];
  readonly #maxFailed: number;
  readonly #maxAtOnce: number;
  readonly #clock: Clock;
  readonly #runs = new Map<string, Run>();
  /** Of the wave that is under way, those not started yet. */
  #waiting: string[] = [];
  #wave = 0;
  #running = 0;
  #failed = 0;

  /** `waveSize` of at least one; `maxFailed` hosts may fail and the rollout goes on; `maxAtOnce` is a limit within a wave. */
  constructor({
    hosts,
    waveSize,
    maxFailed,
    maxAtOnce,
    clock,
  }: {
    hosts: readonly string[];
    waveSize: number;
    maxFailed: number;
    maxAtOnce: number;
    clock: Clock;
  }) {
    const size = Math.max(1, waveSize);
    this.#waves = Array.from({ length: Math.ceil(hosts.length / size) }, (_, index) =>
      hosts.slice(index * size, (index + 1) * size),
    );
    this.#maxFailed = maxFailed;
    this.#maxAtOnce = maxAtOnce;
    this.#clock = clock;
  }

  /** Hosts to start now, with the wave that they are of, counted from one. They count as started. */
  next(): { readonly wave: number; readonly hosts: readonly string[] } {
    if (this.#isStopping) return { wave: this.#wave, hosts: [] };
    if (this.#waiting.length === 0 && this.#running === 0 && this.#wave < this.#waves.length) {
      this.#waiting = [...(this.#waves[this.#wave] ?? [])];
      this.#wave += 1;
    }
    const hosts = this.#waiting.splice(0, this.#maxAtOnce - this.#running);
    for (const host of hosts) this.#runs.set(host, { startedAt: this.#clock.now() });
    this.#running += hosts.length;
    return { wave: this.#wave, hosts };
  }

  /** All hosts of the wave that is under way. */
  get waveHosts(): readonly string[] {
    return this.#waves[this.#wave - 1] ?? [];
  }

  /** Tells how a host that was started has ended. A second word about the same host is not heard. */
  ended(host: string, { isGood }: { isGood: boolean }): void {
    const run = this.#runs.get(host);
    if (run === undefined || run.endedAt !== undefined) return;
    run.endedAt = this.#clock.now();
    this.#running -= 1;
    if (!isGood) this.#failed += 1;
  }

  get state(): PlanState {
    if (this.#running > 0) return 'running';
    if (this.#waiting.length === 0 && this.#wave === this.#waves.length) return 'finished';
    return this.#isStopping ? 'stopped' : 'running';
  }

  /** Hosts that were never started, in their order. */
  get notStarted(): readonly string[] {
    return this.#waves.flat().filter((host) => !this.#runs.has(host));
  }

  /** The hosts that have ended, the slowest first, with their time in ms. */
  get slowest(): readonly { readonly host: string; readonly ms: number }[] {
    return [...this.#runs]
      .flatMap(([host, { startedAt, endedAt }]) => (endedAt === undefined ? [] : [{ host, ms: endedAt - startedAt }]))
      .sort((one, other) => other.ms - one.ms);
  }

  get #isStopping(): boolean {
    return this.#failed > this.#maxFailed;
  }
}
