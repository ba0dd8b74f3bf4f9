/**
 * `npm run soak -- [--minutes N] [--seed N] [--json]`: six nodes that pull, forget, restart and break for a long time, in an
 * order that the seed decides. Progress goes to stderr; with `--json` the figures are the last line of stdout. Exit status 1
 * means that a pull failed, that a digest was wrong, that something grew or was beyond its bound, or that it did not come to
 * its end; the problems say which.
 */
import { installMissingPackages } from '../../bench/harness/testbed-parts.ts';
import { runCommand, say } from '../command.ts';
import { soak } from './soak.ts';
import { parseSoakOptions, SOAK_USAGE } from './soak-options.ts';

async function main(args: readonly string[], signal: AbortSignal): Promise<void> {
  const { minutes, seed, isJson } = parseSoakOptions(args);
  installMissingPackages({ say });
  const result = await soak({ minutes, seed, signal, say });
  if (isJson) console.log(JSON.stringify(result));
  const { pulls, failed, problems } = result;
  say(`${pulls} pulls, ${failed} failed, ${problems.length} problems (seed ${seed})`);
  for (const problem of problems) say(`  ${problem}`);
  if (failed > 0 || !result.digestsRight || problems.length > 0) process.exitCode = 1;
}

await runCommand(main, { usage: SOAK_USAGE });
