import { lstat, mkdir, readdir, readFile, rename, symlink } from 'node:fs/promises';
import path from 'node:path';
import type { Host } from './host.ts';

/** Directories below /etc that a host has to itself. */
const OWN = ['docker', 'containerd', 'containers'];

/**
 * A root directory for `sealift setup --root`, whose /etc/docker, /etc/containerd and /etc/containers are those that the
 * runtimes of this host see.
 */
export async function rootOf(host: Host): Promise<string> {
  const root = path.join(host.directory, 'root');
  for (const name of OWN) {
    const [own, seen] = [path.join(root, 'etc', name), path.join(host.directory, `${name}-etc`)];
    await mkdir(path.dirname(own), { recursive: true });
    await rename(seen, own).catch(() => mkdir(own));
    await symlink(own, seen);
  }
  return root;
}

/** Every file and directory below a root with mode, owner and bytes. */
export async function snapshotOf(root: string): Promise<readonly string[]> {
  const names = await readdir(root, { recursive: true });
  return await Promise.all(
    names.sort().map(async (name) => {
      const stats = await lstat(path.join(root, name));
      const bytes = stats.isFile() ? await readFile(path.join(root, name), 'base64') : '';
      return `${name} ${stats.mode.toString(8)} ${stats.uid}:${stats.gid} ${bytes}`;
    }),
  );
}
