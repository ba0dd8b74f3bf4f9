import type { ConfigOf } from '../config.ts';
import { refuse } from '../failure.ts';
import type { UNINSTALL_OPTIONS } from '../options.ts';
import { restartAdvice } from '../setup/restart-advice.ts';
import { RUNTIMES } from '../setup/runtime-plan.ts';
import { prepareUninstall } from '../setup/runtime-setup.ts';
import { SetupDisk } from '../setup/setup-disk.ts';

type Config = ConfigOf<typeof UNINSTALL_OPTIONS>;

/** `sealift uninstall`: takes back what `sealift setup` has written, for one runtime or for all. */
export async function runUninstall(
  { root, dryRun }: Config,
  { args: [name] }: { readonly args: readonly string[] },
): Promise<void> {
  const runtimes = RUNTIMES.filter((runtime) => name === undefined || runtime === name);
  if (runtimes.length === 0) refuse('uninstall', `name one of ${RUNTIMES.join(', ')}, or nothing for all of them`);
  const changes = prepareUninstall(runtimes, new SetupDisk(root));
  process.stdout.write(changes.diff);
  const left = dryRun ? [] : changes.apply();
  if (changes.diff === '') print('Nothing to take back.');
  else print(dryRun ? 'Nothing was written (--dry-run). When it is:' : 'Taken back. Now:');
  const advice = changes.runtimes.map((runtime) => restartAdvice(runtime, changes.paths));
  for (const note of [...advice, ...left]) print(`- ${note}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
