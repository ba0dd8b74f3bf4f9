import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Dockerd } from './docker.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
/** What deploy/Dockerfile is built from, beside the dependencies. */
const SOURCES = ['package.json', 'package-lock.json', '.npmrc', 'stubs', 'packages', 'deploy'];

/** What nobody runs, and a third of all files: each one costs the build as much as one that counts. */
const LEFT_OUT = ['*.test.ts', '*.fixture.ts', '*.d.ts', '*.d.mts', '*.d.cts', '*.map', '*.md', 'node_modules/*/test'];

/** What we read of an entry of `package-lock.json`. */
interface LockEntry {
  readonly dev?: boolean;
  readonly devOptional?: boolean;
}

/**
 * Builds deploy/Dockerfile on `base` as `name`. The production dependencies that are installed here go along in
 * `deploy/modules`, for a build in the testbed reaches no npm.
 */
export async function buildSealiftImage(
  docker: Dockerd,
  { base, name }: { base: string; name: string },
): Promise<void> {
  const tar = spawn('tar', [
    ...['-C', ROOT, '-c', ...LEFT_OUT.map((pattern) => `--exclude=${pattern}`), '--exclude=packages/*/node_modules'],
    ...['--transform=s,^node_modules,deploy/modules/node_modules,'],
    ...SOURCES,
    ...(await productionModules()),
  ]);
  const build = ['docker', 'build', '-q', '-f', 'deploy/Dockerfile', '--build-arg', `BASE=${base}`, '-t', name, '-'];
  const env = { ...process.env, DOCKER_HOST: `unix://${docker.socket}` };
  const child = spawn('unshare', docker.host.enter(build), { env });
  const said: Buffer[] = [];
  for (const stream of [tar.stderr, child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk));
  child.stdin.on('error', () => {}); // It may end without reading all.
  tar.stdout.pipe(child.stdin);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the build of ${name} ended with ${code}: ${Buffer.concat(said)}`);
}

/** As `npm ci --omit=dev` would install them. */
async function productionModules(): Promise<string[]> {
  const { packages } = JSON.parse(await readFile(path.join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, LockEntry>>;
  };
  const isWanted = ([name, { dev, devOptional }]: [string, LockEntry]): boolean =>
    name.startsWith('node_modules/') && !dev && !devOptional;
  // What is nested in another one comes with it.
  return Object.entries(packages)
    .filter((entry) => isWanted(entry) && entry[0].lastIndexOf('node_modules/') === 0)
    .map(([name]) => name);
}
