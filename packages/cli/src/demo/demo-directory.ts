import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const OWNED = /^sealift-demo-(?<pid>[0-9]{1,10})-/;

/**
 * Makes a directory for one demo. First removes those of demos that were killed and could not: the process that owns one
 * is in its name. A directory that is to be kept names no owner.
 */
export async function makeDemoDirectory({ keep }: { readonly keep: boolean }): Promise<string> {
  for (const name of await readdir(tmpdir())) {
    const pid = OWNED.exec(name)?.groups?.['pid'];
    // One of another user stays; it is that user's next demo that removes it.
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(tmpdir(), name), { recursive: true }).catch(() => {});
  }
  return await mkdtemp(join(tmpdir(), keep ? 'sealift-demo-kept-' : `sealift-demo-${process.pid}-`));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
