/**
 * `npm run bench:decisions -- <certificates|interception|data-path> --opponents <directory> [--rounds <n>]`: repeats a
 * measurement that a record in docs/decisions rests on. `install --opponents <directory>` puts the opponents there first.
 * Loopback only. On a shared machine the ratios count, not the figures.
 */
import { parseArgs } from 'node:util';
import { compareCertificates } from './certificates.ts';
import { compareDataPaths } from './data-path.ts';
import { compareInterception } from './interception.ts';
import { installOpponents } from './opponents.ts';

type Run = (options: { opponents: string; rounds: number }) => Promise<void>;

const RUNS: Readonly<Record<string, Run>> = {
  install: ({ opponents }) => installOpponents(opponents),
  certificates: compareCertificates,
  interception: compareInterception,
  'data-path': compareDataPaths,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { opponents: { type: 'string' }, rounds: { type: 'string', default: '5' } },
});
const run = RUNS[positionals[0] ?? ''];
const rounds = Number(values.rounds);
if (run === undefined || positionals.length !== 1 || values.opponents === undefined || !(rounds >= 1)) {
  console.error(`usage: bench:decisions -- ${Object.keys(RUNS).join('|')} --opponents <directory> [--rounds <n>]`);
  process.exitCode = 2;
} else {
  await run({ opponents: values.opponents, rounds });
}
