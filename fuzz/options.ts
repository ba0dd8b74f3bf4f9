import { parseArgs } from 'node:util';
import type { Target } from './target.ts';
import { TARGETS, targetNamed } from './targets/all.ts';

/** What the command line asks for. */
export interface FuzzOptions {
  readonly targets: readonly Target[];
  /** Time for all targets together, in minutes. */
  readonly minutes: number;
  readonly seed: number;
  /** Where findings go. */
  readonly out: string;
  /** A finding to run once more, instead of a search. */
  readonly repeat: string | undefined;
  /** Put what is worth keeping into the corpus. */
  readonly isKeeping: boolean;
  readonly isJson: boolean;
}

/** A command line that cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const USAGE = `usage: npm run fuzz -- [--target NAME]... [--minutes N] [--seed N] [--out DIRECTORY] [--keep] [--json]
       npm run fuzz -- --target NAME --repeat FILE
${TARGETS.map(({ name, summary }) => `  ${name.padEnd(20)}${summary}`).join('\n')}`;

/** Reads the command line; throws {@link UsageError}. */
export function parseOptions(args: readonly string[]): FuzzOptions {
  const values = parse(args);
  const minutes = Number(values.minutes);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
  if (!(minutes > 0 && minutes <= 10_000)) throw new UsageError('--minutes is a number above 0');
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
    throw new UsageError('--seed is an unsigned 32-bit integer');
  const targets = (values.target ?? []).map(named);
  if (values.repeat !== undefined && targets.length !== 1) throw new UsageError('--repeat needs one --target');
  return {
    targets: targets.length === 0 ? TARGETS : targets,
    minutes,
    seed,
    out: values.out,
    repeat: values.repeat,
    isKeeping: values.keep,
    isJson: values.json,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        target: { type: 'string', multiple: true },
        minutes: { type: 'string', default: '12' },
        seed: { type: 'string' },
        out: { type: 'string', default: '.sealift/fuzz' },
        repeat: { type: 'string' },
        keep: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

function named(name: string): Target {
  try {
    return targetNamed(name);
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
