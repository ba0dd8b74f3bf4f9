import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { type RunName, runNameOf } from './run-name.ts';
import { directoryOf, NAMESPACES, processesOf } from './sweep.ts';

const CGROUPS = '/sys/fs/cgroup';

/** What there is of a run on this machine: namespaces, processes, mounts, cgroups, files. Empty once it was swept. */
export async function leftoversOf(runName: RunName): Promise<string[]> {
  const isOurs = (name: string): boolean => runNameOf(name) === runName;
  const namespaces = (await list(NAMESPACES)).filter(isOurs);
  const processes = (await processesOf(runName)).map((pid) => `process ${pid}`);
  const mounts = (await readFile('/proc/self/mounts', 'utf8'))
    .split('\n')
    .filter((line) => line.includes(`${runName}/`));
  const cgroups = ['', ...(await list(CGROUPS))]
    .map((hierarchy) => path.join(CGROUPS, hierarchy, runName))
    .filter((directory) => existsSync(directory));
  const directory = directoryOf(runName);
  return [...namespaces, ...processes, ...mounts, ...cgroups, ...(existsSync(directory) ? [directory] : [])];
}

/** The runs that a process owns and that have left a directory or a namespace. */
export async function runsOf(pid: number): Promise<RunName[]> {
  const names = [...(await list(NAMESPACES)), ...(await list(path.dirname(directoryOf('sl-'))))].map(runNameOf);
  return [...new Set(names.filter((name) => name !== undefined))].filter((name) => name.startsWith(`sl-${pid}-`));
}

async function list(directory: string): Promise<string[]> {
  return await readdir(directory).catch(() => []);
}
