import { lstatSync, mkdirSync, type Stats, statSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { join } from 'node:path';

/** Its place in a data directory. */
const NAME = 'compile-cache';
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Keeps compiled code in the data directory: a start costs half the CPU time, and a process 25 MiB less, as nothing has to be
 * stripped of its types. Call it before the code is loaded. What lies there is run, so it must be ours alone: without a
 * directory that nobody else can write to, code is compiled anew.
 */
export function useCompileCache(dataDirectory: string): void {
  const directory = join(dataDirectory, NAME);
  try {
    if (!isOursAlone(statSync(dataDirectory))) return;
    if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) mkdirSync(directory, { mode: 0o700 });
    if (isOursAlone(lstatSync(directory))) enableCompileCache(directory);
  } catch {
    // Not there yet, or not to be written to. The command says so where it matters.
  }
}

/** Writes what was compiled up to now. Otherwise that happens at the end of a process, which may be a sudden one. */
export function keepCompiled(): void {
  flushCompileCache();
}

function isOursAlone(directory: Stats): boolean {
  const { uid, mode } = directory;
  return directory.isDirectory() && (uid === 0 || uid === process.getuid?.()) && (mode & WRITABLE_BY_OTHERS) === 0;
}
