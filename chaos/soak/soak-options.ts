import { parseArgs } from 'node:util';
import { UsageError } from '../command.ts';

/** What the command line asks for. */
export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly isJson: boolean;
}

export const SOAK_USAGE = 'usage: npm run soak -- [--minutes N] [--seed N] [--json]';

/** Reads the command line; throws {@link UsageError}. */
export function parseSoakOptions(args: readonly string[]): SoakOptions {
  const values = parse(args);
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  if (!(minutes > 0 && minutes <= 10_000)) throw new UsageError('--minutes is a number above 0');
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
    throw new UsageError('--seed is an unsigned 32-bit integer');
  return { minutes, seed, isJson: values.json };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
