/**
 * `node scripts/test.ts [group | file | --node-option]…`: all checks and tests, or the groups or files named. Each test file is
 * a process with a time limit, two at a time at most. In a full run, a file that fails is run once more at the end, alone: what
 * passes then is a race with a busy machine, which is named as unsteady and is to be mended, but stops nobody. Exit code 0
 * means that everything ran and passed; under CI=true a skipped test is a failure, for CI has all parts.
 */
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type FileResult, killRunningTests, runTestFile } from './test-file.ts';

interface Group {
  readonly patterns: readonly string[];
  /** Longest run of one file, in s. */
  readonly limitSeconds: number;
  readonly concurrency: number;
}

const ROOT = path.dirname(import.meta.dirname);
/** More failures than these are no races. */
const MAX_SECOND_RUNS = 3;
/** In the order in which they run: the quick ones first. */
const GROUPS: Readonly<Record<string, Group>> = {
  unit: {
    patterns: [
      'packages/*/src/**/*.test.ts',
      'scripts/*.test.ts',
      'test/docs/*.test.ts',
      'bench/**/*.test.ts',
      'fuzz/*.test.ts',
    ],
    limitSeconds: 120,
    concurrency: 2,
  },
  conformance: { patterns: ['test/conformance/*.test.ts'], limitSeconds: 150, concurrency: 2 },
  security: { patterns: ['test/security/*.test.ts'], limitSeconds: 150, concurrency: 2 },
  interop: { patterns: ['test/interop/*.test.ts'], limitSeconds: 150, concurrency: 2 },
  chaos: { patterns: ['chaos/*.test.ts', 'test/chaos/*.test.ts'], limitSeconds: 150, concurrency: 1 },
  // Each file runs several daemons, which fill two cores.
  e2e: { patterns: ['test/e2e/*.test.ts', 'test/testbed/*.test.ts'], limitSeconds: 180, concurrency: 1 },
};
const CHECKS = [
  ['tsc', '--noEmit'],
  ['biome', 'check'],
] as const;

const isCi = process.env['CI'] === 'true';
const args = process.argv.slice(2);
const options = args.filter((arg) => arg.startsWith('--'));
const groupNames = args.filter((arg) => arg in GROUPS);
const files = args.filter((arg) => !options.includes(arg) && !groupNames.includes(arg));

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    killRunningTests();
    process.exit(code);
  });
}

const isFullRun = groupNames.length === 0 && files.length === 0;
if (isFullRun) runChecks();
const reports = mkdtempSync(path.join(tmpdir(), 'sealift-tests-'));
process.once('exit', () => rmSync(reports, { recursive: true, force: true }));
const results: FileResult[] = [];
const unsteady: FileResult[] = [];
const limits = new Map<string, number>();
for (const [name, group] of Object.entries(GROUPS)) {
  const all = globSync([...group.patterns], { cwd: ROOT }).sort();
  const chosen = isFullRun || groupNames.includes(name) ? all : all.filter(isNamed);
  for (const file of chosen) limits.set(file, group.limitSeconds);
  results.push(...(await runGroup(group, chosen)));
}
if (isFullRun) await runFailedAgain();
summarize();

function isNamed(file: string): boolean {
  return files.some((name) => path.resolve(name) === path.join(ROOT, file));
}

function runChecks(): void {
  for (const [command, ...rest] of CHECKS) {
    print(`── ${command} ${rest.join(' ')}\n`);
    const { status } = spawnSync(path.join(ROOT, 'node_modules', '.bin', command), rest, {
      cwd: ROOT,
      stdio: 'inherit',
    });
    if (status !== 0) process.exit(status ?? 1);
  }
}

async function runGroup({ limitSeconds, concurrency }: Group, chosen: readonly string[]): Promise<FileResult[]> {
  const results: FileResult[] = [];
  const waiting = [...chosen];
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const reportFile = path.join(reports, file.replaceAll('/', '-'));
      const result = await runTestFile(path.join(ROOT, file), { limitMs: limitSeconds * 1000, reportFile, options });
      results.push({ ...result, file });
      printResult({ ...result, file });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  return results;
}

async function runFailedAgain(): Promise<void> {
  const failed = results.filter(({ failure }) => failure !== undefined);
  if (failed.length > MAX_SECOND_RUNS) return;
  for (const first of failed) {
    print(`\n── once more, alone: ${first.file}\n`);
    const group = { patterns: [], limitSeconds: limits.get(first.file) ?? 0, concurrency: 1 };
    const [second] = await runGroup(group, [first.file]);
    if (second === undefined || second.failure !== undefined) continue;
    unsteady.push(first);
    results[results.indexOf(first)] = second;
  }
}

function printResult({ file, output, durationMs, passed, failure }: FileResult): void {
  // The reporter's own totals are per file here, and ours follow.
  const isTotal = (line: string) => /^ℹ (?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /u.test(line);
  const tree = output.split('\n').filter((line) => !isTotal(line));
  print(`── ${file}: ${passed} passed, ${(durationMs / 1000).toFixed(1)} s\n${tree.join('\n').trim()}\n`);
  if (failure !== undefined) print(`   ${failure}\n`);
}

function summarize(): void {
  const failed = results.filter(({ failure }) => failure !== undefined);
  const skipped = results.flatMap(({ file, skipped: tests }) => tests.map((skip) => ({ file, ...skip })));
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  print(`\n${passed} tests passed, ${skipped.length} skipped, ${failed.length} of ${results.length} files failed\n`);
  for (const { file, failure } of unsteady) print(`unsteady ${file}: passed only when it ran once more; ${failure}\n`);
  for (const { file, name, reason } of skipped) print(`skipped  ${file}: ${name} (${reason})\n`);
  for (const { file, failure } of failed) print(`failed   ${file}: ${failure}\n`);
  if (results.length === 0) print(`no test file fits ${args.join(' ')}\n`);
  if (isCi && skipped.length > 0) print('CI has to run every test: a skipped one is a failure here\n');
  process.exitCode = failed.length > 0 || results.length === 0 || (isCi && skipped.length > 0) ? 1 : 0;
}

function print(text: string): void {
  process.stdout.write(text);
}
