import { randomUUID } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Logger, RegistryHost } from '@sealift/core';
import type { InterceptCa } from '@sealift/pki';

/** Our file in a registry's directory. dockerd reads every `.crt` file there, so it stands beside the user's own. */
export const INTERCEPT_CA_FILE = 'sealift-intercept.crt';

/** What a file is called until it is complete: not `.crt`, so that nobody reads half of it. */
const UNFINISHED_PREFIX = '.sealift-intercept.';

/** Settings of {@link TrustFiles}. */
export interface TrustFilesOptions {
  /** Where the runtime keeps its trust anchors, for example `/etc/docker/certs.d`. */
  readonly certsDirectory: string;
  readonly registries: readonly RegistryHost[];
  readonly interceptCa: Pick<InterceptCa, 'certificatePem'>;
  readonly log: Logger;
}

/**
 * Makes the container runtime trust this node's intercept CA, for the configured registries only, by one file for each:
 * `<certsDirectory>/<host[:port]>/sealift-intercept.crt`. dockerd reads them at every request, so no restart is needed.
 * At the end they go away again, with the directories that were made for them; what belongs to the user stays untouched.
 */
export class TrustFiles {
  readonly #options: TrustFilesOptions;
  /** The files as they were written, and the directories that did not exist before, outermost first. */
  readonly #files: string[] = [];
  readonly #directories: string[] = [];
  #starting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: TrustFilesOptions) {
    this.#options = options;
  }

  /** Removes what a crashed run left behind, then writes the files. Throws the file system's error, and undoes its part. */
  start(): Promise<void> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /** Removes what {@link start} made. Never throws: what cannot be removed is logged. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #start(): Promise<void> {
    const { certsDirectory, registries, log } = this.#options;
    try {
      await removeStale(certsDirectory);
      for (const registry of registries) await this.#write(resolve(certsDirectory, registry));
    } catch (error) {
      await this.#remove();
      throw error;
    }
    log.info('trust_written', { certsDirectory, registries: registries.length });
  }

  async #stop(): Promise<void> {
    await this.#starting?.catch(() => {});
    if (this.#files.length === 0) return;
    await this.#remove();
    this.#options.log.info('trust_removed', { certsDirectory: this.#options.certsDirectory });
  }

  async #write(directory: string): Promise<void> {
    await this.#makeDirectory(directory);
    const path = join(directory, INTERCEPT_CA_FILE);
    const unfinished = join(directory, `${UNFINISHED_PREFIX}${randomUUID()}`);
    try {
      const file = await open(unfinished, 'wx', 0o644);
      try {
        await file.writeFile(this.#options.interceptCa.certificatePem);
      } finally {
        await file.close();
      }
      // Past the umask: the runtime may run as another user.
      await chmod(unfinished, 0o644);
      await rename(unfinished, path);
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
    this.#files.push(path);
  }

  /** Not `mkdir` with `recursive`: that of Node 24 never returns where a parent exists but takes no entries, as /proc. */
  async #makeDirectory(path: string): Promise<void> {
    if (await isDirectory(path)) return;
    if (dirname(path) !== path) await this.#makeDirectory(dirname(path));
    try {
      await mkdir(path, { mode: 0o755 });
      this.#directories.push(path);
    } catch (error) {
      // Another process made it meanwhile, and keeps it.
      if (!(await isDirectory(path))) throw error;
    }
  }

  async #remove(): Promise<void> {
    for (const path of this.#files) await this.#try(() => this.#removeOwn(path));
    // Innermost first. A directory that somebody else uses by now is not empty, and stays.
    for (const directory of this.#directories.toReversed()) await this.#try(() => rmdir(directory));
  }

  /** Another process may have put its own file in our place; that one is in use. */
  async #removeOwn(path: string): Promise<void> {
    const isOurs = (await readFile(path, 'utf8')) === this.#options.interceptCa.certificatePem;
    if (isOurs) await rm(path);
  }

  async #try(remove: () => Promise<void>): Promise<void> {
    try {
      await remove();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTEMPTY' || code === 'EEXIST') return;
      this.#options.log.warn('trust_removed', { error });
    }
  }
}

/** Removes our files from every registry's directory: their CA died with the process that made it. */
async function removeStale(certsDirectory: string): Promise<void> {
  const directories = await readdir(certsDirectory, { withFileTypes: true }).catch(ignoreMissing);
  for (const entry of directories.filter((candidate) => candidate.isDirectory())) {
    const directory = join(certsDirectory, entry.name);
    const names = await readdir(directory).catch(ignoreMissing);
    const stale = names.filter((name) => name === INTERCEPT_CA_FILE || name.startsWith(UNFINISHED_PREFIX));
    for (const name of stale) await rm(join(directory, name), { force: true });
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): never[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
