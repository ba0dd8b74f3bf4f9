import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ReportLine } from './test-report.ts';

/** How a test file's run ended. */
export interface FileResult {
  readonly file: string;
  readonly durationMs: number;
  readonly passed: number;
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  /** Why the file counts as failed; `undefined` if all is well. */
  readonly failure: string | undefined;
  /** What it printed, in the spec reporter's form. */
  readonly output: string;
}

const running = new Set<ChildProcess>();

/**
 * Runs one file in a process group of its own. A file that does not end is killed with its group, and counts as failed: a
 * hang at the end is a leak in the code under test, so nothing here forces an exit earlier.
 */
export function runTestFile(
  file: string,
  o: { limitMs: number; reportFile: string; options: readonly string[] },
): Promise<FileResult> {
  const startedAt = performance.now();
  const reporters = [
    ...['--test-reporter=spec', '--test-reporter-destination=stdout'],
    `--test-reporter=${path.join(import.meta.dirname, 'test-report.ts')}`,
    `--test-reporter-destination=${o.reportFile}`,
  ];
  const child = spawn(process.execPath, [...reporters, ...o.options, file], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    let isHung = false;
    const timer = setTimeout(() => {
      isHung = true;
      killGroup(child);
    }, o.limitMs);
    child.once('error', reject);
    child.once('close', async (code) => {
      clearTimeout(timer);
      running.delete(child);
      const lines = await readReport(o.reportFile);
      const names = (kind: ReportLine['kind']) => lines.filter((line) => line.kind === kind).map(({ name }) => name);
      const passed = names('passed').length;
      const skipped = lines.filter((line) => line.kind === 'skipped');
      const failure = () => {
        const ended = new Set(lines.filter(({ kind }) => kind !== 'started').map(({ name }) => name));
        const open = names('started').filter((name) => !ended.has(name));
        if (isHung)
          return `hung: killed after ${o.limitMs / 1000} s; unfinished: ${open.join('; ') || 'none, but it did not end'}`;
        const failed = names('failed');
        if (failed.length > 0) return `failed: ${failed.join('; ')}`;
        if (code !== 0) return `ended with exit code ${code}`;
        return passed + skipped.length === 0 && o.options.length === 0 ? 'holds no test' : undefined;
      };
      const output = Buffer.concat(chunks).toString();
      resolve({ file, durationMs: performance.now() - startedAt, passed, skipped, failure: failure(), output });
    });
  });
}

/** Kills whatever still runs; for an end by signal. */
export function killRunningTests(): void {
  for (const child of running) killGroup(child);
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group ended by itself.
  }
}

async function readReport(file: string): Promise<ReportLine[]> {
  // A file that crashed at once has no report; a killed one may end in half a line.
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ReportLine);
}
