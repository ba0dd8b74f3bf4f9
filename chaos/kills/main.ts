/**
 * `npm run kills -- [--times N] [--seed N] [--nodes N] [--json]`: kills nodes, fronts, engines and the tracker at random moments of
 * running pulls, all in one cluster. A line for each pull goes to stderr; with `--json` the row is the only line of stdout.
 * Exit status 1 means that a pull failed that should not, that a client was given a false byte, that a store was not sound,
 * that verified bytes were fetched again, or that something did not come to its end; the problems say which.
 */
import { installMissingPackages } from '../../bench/harness/testbed-parts.ts';
import { runCommand, say } from '../command.ts';
import { isClean } from '../fault.ts';
import { brokenRow, summaryOf } from '../fault-report.ts';
import { runFault } from '../run-fault.ts';
import { kills } from './kills.ts';
import { KILLS_USAGE, parseKillOptions } from './options.ts';

async function main(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { times, seed, nodes, isJson } = parseKillOptions(args);
  installMissingPackages({ say });
  const fault = kills(times, say);
  const row = await runFault(fault, { nodes, seed, signal }).catch((error: unknown) => brokenRow(fault.name, error));
  signal.throwIfAborted();
  if (isJson) console.log(JSON.stringify(row));
  say(`${summaryOf(row)} (seed ${seed})`);
  if (!isClean(row)) process.exitCode = 1;
}

await runCommand(main, { usage: KILLS_USAGE });
