/**
 * `npm run chaos -- [--fault NAME] [--seed N] [--nodes N] [--docker] [--json]`: breaks one thing after another under running pulls, each
 * on hosts and processes of its own. A line of JSON per fault goes to stdout with `--json`; people read stderr. Exit status 1
 * means that a pull failed, that a digest was wrong, or that something else was not as it must be.
 */
import { installMissingPackages } from '../bench/harness/testbed-parts.ts';
import { type FaultRow, isClean } from './fault.ts';
import { type ChaosOptions, parseOptions, USAGE, UsageError } from './options.ts';
import { runFault } from './run-fault.ts';

const say = (text: string): void => console.error(text);

async function main({ faults, seed, nodes, hasDocker, isJson }: ChaosOptions, signal: AbortSignal): Promise<void> {
  installMissingPackages({ say });
  let unclean = 0;
  for (const fault of faults) {
    signal.throwIfAborted();
    const row = await runFault(fault, { seed, nodes, hasDocker, signal }).catch((error: unknown) =>
      broken(fault.name, error),
    );
    signal.throwIfAborted();
    if (isJson) console.log(JSON.stringify(row));
    say(summaryOf(row));
    if (!isClean(row)) unclean += 1;
  }
  say(`${faults.length - unclean} of ${faults.length} faults left no trace (seed ${seed})`);
  if (unclean > 0) process.exitCode = 1;
}

/** A fault that could not be played is no proof of anything. */
function broken(fault: string, error: unknown): FaultRow {
  const problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    fault,
    pulls: 0,
    failed: 0,
    digestsRight: true,
    extraRegistryBytes: 0,
    slowestSeconds: 0,
    figures: {},
    problems: [problem],
  };
}

function summaryOf(row: FaultRow): string {
  const { fault, pulls, failed, extraRegistryBytes, slowestSeconds, figures, problems } = row;
  const more = Object.entries(figures).map(([name, value]) => `, ${name} ${value}`);
  const line = `${isClean(row) ? 'ok  ' : 'FAIL'} ${fault}: ${pulls} pulls, ${failed} failed, slowest ${slowestSeconds} s, ${extraRegistryBytes} extra bytes${more.join('')}`;
  return [line, ...problems.map((problem) => `       ${problem}`)].join('\n');
}

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(name)));
try {
  await main(parseOptions(process.argv.slice(2)), interrupted.signal);
} catch (error) {
  if (interrupted.signal.aborted) process.exitCode = 130;
  else if (error instanceof UsageError) {
    say(`${error.message}\n${USAGE}`);
    process.exitCode = 2;
  } else {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exitCode = 1;
  }
}
