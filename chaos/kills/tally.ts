import type { Stage } from '../stage.ts';
import { type Strike, TARGETS } from './strikes.ts';

/** What a run of kills has done so far. */
export class Tally {
  /** Kills that found the pull under way. */
  midPull = 0;
  /** Bytes that were verified when a node or its engine was killed. */
  keptBytes = 0;
  /** Reads of the seeder that went on where a killed process had ended. */
  resumedReads = 0;
  readonly #times: number;
  readonly #say: (text: string) => void;
  readonly #byTarget: Record<string, number> = Object.fromEntries(TARGETS.map((target) => [target, 0]));
  readonly #startedAt = performance.now();
  #kills = 0;
  #problems = 0;

  constructor({ times, say }: { times: number; say: (text: string) => void }) {
    this.#times = times;
    this.#say = say;
  }

  /** Kills that are yet to come. */
  get left(): number {
    return this.#times - this.#kills;
  }

  /** Says what became of the kills of one pull, and at once what is wrong. */
  round(strikes: readonly Strike[], { seconds, problems }: { seconds: number; problems: readonly string[] }): void {
    for (const { target } of strikes) this.#byTarget[target] = (this.#byTarget[target] ?? 0) + 1;
    this.#kills += strikes.length;
    const what = strikes.map(({ target, name, atByte }) => `${target} at ${(atByte / 1e6).toFixed(1)} MB on ${name}`);
    const news = problems.slice(this.#problems);
    this.#problems = problems.length;
    this.#say(
      `${news.length === 0 ? 'ok  ' : 'FAIL'} ${this.#kills}/${this.#times} ${what.join(', ')}: ${seconds.toFixed(1)} s`,
    );
    for (const problem of news) this.#say(`       ${problem}`);
  }

  /** Puts the figures into the row. */
  note(stage: Stage): void {
    for (const [target, kills] of Object.entries(this.#byTarget)) stage.note(`kills of ${target}`, kills);
    stage.note('kills', this.#kills);
    stage.note('killsMidPull', this.midPull);
    stage.note('verifiedBytesKept', this.keptBytes);
    stage.note('resumedReads', this.resumedReads);
    stage.note('secondsPerKill', (performance.now() - this.#startedAt) / 1000 / Math.max(1, this.#kills));
  }
}
