import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { checkStore, type StoreFinding } from '@sealift/store';
import { HashInspector } from '../../packages/cli/src/hash-inspector.ts';

const run = promisify(execFile);
const MAIN = path.join(import.meta.dirname, '../../packages/cli/src/main.ts');
/** Longest check of a store of some tens of MiB, in ms. */
const TIMEOUT_MS = 60_000;

/** What a check of a whole store found wrong, in words; empty if it is sound. The process that had it must be gone. */
export async function problemsOfStore(directory: string, { quotaBytes }: { quotaBytes: number }): Promise<string[]> {
  const inspectHashes = new HashInspector().inspect;
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const { findings } = await checkStore({ directory, quotaBytes, inspectHashes, signal });
  return problemsOf(findings);
}

/** The same by `sealift store verify`, as an operator would do it; on a tracker's data it checks signatures as well. */
export async function problemsOfData(data: string): Promise<string[]> {
  const args = [MAIN, 'store', 'verify', '--json', '--data', data];
  const said = await run(process.execPath, args, { timeout: TIMEOUT_MS }).catch(
    (error: { stdout: string; stderr: string }) => error,
  );
  if (said.stdout === '') return [`sealift store verify failed: ${said.stderr}`];
  const { isSound, findings } = JSON.parse(said.stdout) as { isSound: boolean; findings: readonly StoreFinding[] };
  return isSound ? [] : problemsOf(findings);
}

function problemsOf(findings: readonly StoreFinding[]): string[] {
  return findings.filter(({ kind }) => kind === 'problem').map(({ path: where, reason }) => `${where}: ${reason}`);
}
