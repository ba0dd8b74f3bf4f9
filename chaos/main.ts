/**
 * `npm run chaos -- [--fault NAME] [--seed N] [--nodes N] [--docker] [--json]`: breaks one thing after another under running pulls, each
 * on hosts and processes of its own. A line of JSON per fault goes to stdout with `--json`; people read stderr. Exit status 1
 * means that a pull failed, that a digest was wrong, or that something else was not as it must be.
 */
import { installMissingPackages } from '../bench/harness/testbed-parts.ts';
import { runCommand, say } from './command.ts';
import { isClean } from './fault.ts';
import { brokenRow, summaryOf } from './fault-report.ts';
import { parseOptions, USAGE } from './options.ts';
import { runFault } from './run-fault.ts';

async function main(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { faults, seed, nodes, hasDocker, isJson } = parseOptions(args);
  installMissingPackages({ say });
  let unclean = 0;
  for (const fault of faults) {
    signal.throwIfAborted();
    const row = await runFault(fault, { seed, nodes, hasDocker, signal }).catch((error: unknown) =>
      brokenRow(fault.name, error),
    );
    signal.throwIfAborted();
    if (isJson) console.log(JSON.stringify(row));
    say(summaryOf(row));
    if (!isClean(row)) unclean += 1;
  }
  say(`${faults.length - unclean} of ${faults.length} faults left no trace (seed ${seed})`);
  if (unclean > 0) process.exitCode = 1;
}

await runCommand(main, { usage: USAGE });
