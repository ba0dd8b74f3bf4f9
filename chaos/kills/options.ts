import { parseArgs } from 'node:util';
import { UsageError } from '../command.ts';

/** What the command line asks for. */
export interface KillOptions {
  readonly times: number;
  readonly seed: number;
  readonly nodes: number;
  readonly isJson: boolean;
}

export const KILLS_USAGE = 'usage: npm run kills -- [--times N] [--seed N] [--nodes N] [--json]';

/** Reads the command line; throws {@link UsageError}. */
export function parseKillOptions(args: readonly string[]): KillOptions {
  const values = parse(args);
  const [times, seed, nodes] = [Number(values.times), Number(values.seed), Number(values.nodes)];
  if (!(Number.isInteger(times) && times > 0 && times <= 100_000))
    throw new UsageError('--times is a number from 1 to 100000');
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
    throw new UsageError('--seed is an unsigned 32-bit integer');
  // Two are killed at once at most, and one must go on.
  if (!(Number.isInteger(nodes) && nodes >= 3 && nodes <= 64)) throw new UsageError('--nodes is a number from 3 to 64');
  return { times, seed, nodes, isJson: values.json };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        times: { type: 'string', default: '200' },
        seed: { type: 'string', default: '1' },
        nodes: { type: 'string', default: '3' },
        json: { type: 'boolean', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}
