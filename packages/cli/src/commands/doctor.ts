import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseImageReference } from '@sealift/registry';
import type { ConfigOf } from '../config.ts';
import { checksOf } from '../doctor/checks.ts';
import { examineAll } from '../doctor/examination.ts';
import { formatResult, formatSummary } from '../doctor/report.ts';
import { formatImage, type Subject } from '../doctor/subject.ts';
import type { DOCTOR_OPTIONS } from '../options.ts';

type Config = ConfigOf<typeof DOCTOR_OPTIONS>;

/** `sealift doctor`: what is wrong on the way of one image into the runtime of this machine. Exits with 1 if anything fails. */
export async function runDoctor(
  config: Config,
  { signal, args }: { readonly signal: AbortSignal; readonly args: readonly string[] },
): Promise<void> {
  const { runtime, data, certsDirectory, dockerSocket, root, authFile, json } = config;
  const subject: Subject = {
    image: parseImageReference(args[0] ?? ''),
    ...{ runtime, data, certsDirectory, dockerSocket, root },
    authFile: authFile ?? join(homedir(), '.docker', 'config.json'),
    learned: {},
  };
  if (!json) print(`The way of ${formatImage(subject.image)} into ${runtime}, by the node of ${data}:\n\n`);
  const results = await examineAll(checksOf(subject), {
    signal,
    onResult: (result) => {
      if (!json) print(formatResult(result));
    },
  });
  const isWell = results.every(({ status }) => status !== 'fail');
  if (json) print(`${JSON.stringify({ image: formatImage(subject.image), runtime, data, isWell, checks: results })}\n`);
  else print(`\n${formatSummary(results)}`);
  if (!isWell) process.exitCode = 1;
}

function print(text: string): void {
  process.stdout.write(text);
}
