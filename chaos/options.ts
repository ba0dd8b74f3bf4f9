import { parseArgs } from 'node:util';
import { UsageError } from './command.ts';
import type { Fault } from './fault.ts';
import { FAULTS } from './faults/all.ts';

/** What the command line asks for. */
export interface ChaosOptions {
  readonly faults: readonly Fault[];
  readonly seed: number;
  readonly nodes: number;
  /** Real dockerds pull, where the fault allows. */
  readonly hasDocker: boolean;
  readonly isJson: boolean;
}

export const USAGE = `usage: npm run chaos -- [--fault NAME]... [--seed N] [--nodes N] [--docker] [--json]
${FAULTS.map(({ name, summary }) => `  ${name.padEnd(24)}${summary}`).join('\n')}`;

/** Reads the command line; throws {@link UsageError}. */
export function parseOptions(args: readonly string[]): ChaosOptions {
  const values = parse(args);
  const [nodes, seed] = [Number(values.nodes), Number(values.seed)];
  // A second of CPU each to start; the addresses of the testbed end at 254.
  if (!(Number.isInteger(nodes) && nodes >= 3 && nodes <= 64)) throw new UsageError('--nodes is a number from 3 to 64');
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
    throw new UsageError('--seed is an unsigned 32-bit integer');
  const faults = (values.fault ?? []).map(named);
  const hasDocker = values.docker;
  const all = hasDocker ? FAULTS.filter(({ fitsDocker }) => fitsDocker === true) : FAULTS;
  const wrong = hasDocker ? faults.find(({ fitsDocker }) => fitsDocker !== true) : undefined;
  if (wrong !== undefined) throw new UsageError(`${wrong.name} is played with light clients only`);
  return { faults: faults.length === 0 ? all : faults, seed, nodes, hasDocker, isJson: values.json };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        fault: { type: 'string', multiple: true },
        seed: { type: 'string', default: '1' },
        nodes: { type: 'string', default: '3' },
        docker: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    }).values;
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

function named(name: string): Fault {
  const fault = FAULTS.find((candidate) => candidate.name === name);
  if (fault === undefined) throw new UsageError(`there is no fault ${name}`);
  return fault;
}
