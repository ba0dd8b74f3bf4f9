import type { ParseArgsOptionsConfig } from 'node:util';
import type { Scope } from './scope.ts';

/** What a benchmark is given. */
export interface BenchmarkContext {
  readonly scope: Scope;
  readonly signal: AbortSignal;
  /** At least 3, unless it is a smoke run: fewer say nothing about the spread. */
  readonly rounds: number;
  /** Values of the benchmark's own options. */
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  /** Tells a person how far it is and what came out; the result itself is what `run` returns. */
  readonly say: (text: string) => void;
}

/** One benchmark behind the door `npm run bench -- NAME`. */
export interface Benchmark {
  readonly name: string;
  /** One line for the usage text. */
  readonly summary: string;
  /** Its options beside `--json` and `--rounds`. */
  readonly options: ParseArgsOptionsConfig;
  readonly defaultRounds: number;
  /** Runs ours and its opponents, and returns what `--json` prints. */
  run(context: BenchmarkContext): Promise<object>;
}

/** Reads an option that is a whole number of at least `min`. */
export function wholeNumber(values: BenchmarkContext['values'], name: string, min = 1): number {
  const value = Number(values[name]);
  if (!Number.isSafeInteger(value) || value < min)
    throw new UsageError(`--${name} wants a whole number from ${min} on`);
  return value;
}

/** The command line makes no sense; its message is for the person who wrote it. */
export class UsageError extends Error {}
