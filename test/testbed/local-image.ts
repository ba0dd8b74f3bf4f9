import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Dockerd } from './docker.ts';
import { createTar, type TarEntry } from './tar.ts';

const run = promisify(execFile);

/** The static shell of every image; a link for each of its commands that somebody needs. */
const BUSYBOX = '/bin/busybox';
const COMMANDS = ['sh', 'cat', 'chmod', 'chown', 'find', 'id', 'ls', 'mkdir', 'mv', 'rm', 'touch'];

/**
 * Makes an image out of this machine's own files, for nothing here comes from the network: busybox, and `programs` (path in
 * the image, file on this machine) with the libraries that they are linked to. `changes` are lines of a Dockerfile.
 */
export async function importImage(
  docker: Dockerd,
  o: {
    name: string;
    programs?: Readonly<Record<string, string>>;
    files?: Readonly<Record<string, string>>;
    changes?: readonly string[];
  },
): Promise<void> {
  const programs = Object.entries(o.programs ?? {});
  const libraries = new Set((await Promise.all(programs.map(([, file]) => librariesOf(file)))).flat());
  const entries: TarEntry[] = [
    { path: 'tmp/', mode: 0o1777, isDirectory: true },
    { path: 'bin/busybox', mode: 0o755, content: await readFile(BUSYBOX) },
    ...COMMANDS.map((name) => ({ path: `bin/${name}`, mode: 0o777, linkTo: 'busybox' })),
  ];
  for (const [target, file] of [...programs, ...[...libraries].map((file) => [file, file] as const)]) {
    entries.push({ path: target.slice(1), mode: 0o755, content: await readFile(file) });
  }
  for (const [target, text] of Object.entries(o.files ?? {})) {
    entries.push({ path: target.slice(1), mode: 0o644, content: Buffer.from(text) });
  }
  const archive = path.join(docker.host.directory, 'import.tar');
  await writeFile(archive, createTar(entries));
  const changes = (o.changes ?? []).flatMap((change) => ['--change', change]);
  await docker.runOrThrow(['import', ...changes, archive, o.name]);
}

/** What the dynamic loader would load, itself included (ldd(1)). */
async function librariesOf(file: string): Promise<string[]> {
  const { stdout } = await run('ldd', [file]);
  return [...stdout.matchAll(/(?:=> )?(?<library>\/\S+) \(0x/g)].map(({ groups }) => groups?.['library'] ?? '');
}
