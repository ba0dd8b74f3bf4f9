import { lstatSync, readdirSync, readFileSync, realpathSync, rmdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { AppError } from '@sealift/core';
import { INTERCEPT_CA_FILE } from '@sealift/proxy';
import { errnoOf } from '../failure.ts';
import type { ConfigTree } from './runtime-plan.ts';

/** Largest file that we read, in bytes: configuration is kilobytes. */
const MAX_FILE_BYTES = 1024 * 1024;
const READABLE_BY_OTHERS = 0o004;

/** The configuration below a root directory: `/`, or that of an image or a test. */
export class SetupDisk implements ConfigTree {
  readonly #root: string;

  constructor(root: string) {
    this.#root = path.resolve(root);
  }

  /** Where a path of the runtime lies for us. */
  place(file: string): string {
    return path.join(this.#root, file);
  }

  read(file: string): string | undefined {
    const stats = absent(() => statSync(this.place(file)));
    if (stats === undefined) return undefined;
    // A container that was given a file as a volume leaves a directory where there was none.
    if (stats.isDirectory()) {
      throw new AppError('CONFIG_INVALID', { reason: `\n  ${file}: it is a directory where a file belongs` });
    }
    const bytes = readFileSync(this.place(file));
    const text = bytes.toString('utf8');
    if (bytes.length > MAX_FILE_BYTES || !Buffer.from(text).equals(bytes)) {
      throw new AppError('CONFIG_INVALID', { reason: `\n  ${file}: this is no text of configuration` });
    }
    return text;
  }

  isPrivate(file: string): boolean {
    const stats = absent(() => statSync(this.place(file)));
    return stats !== undefined && (stats.mode & READABLE_BY_OTHERS) === 0;
  }

  list(directory: string): readonly string[] {
    return absent(() => readdirSync(this.place(directory)))?.sort() ?? [];
  }

  has(file: string): boolean {
    return absent(() => lstatSync(this.place(file))) !== undefined;
  }

  /** Why a file must not be written or removed here; `undefined` if it may be. */
  objection(file: string): string | undefined {
    const stats = absent(() => lstatSync(this.place(file)));
    // What manages the links would not know of ours, and a link in an image may lead out of it.
    if (stats?.isSymbolicLink())
      return `${file}: it is a symbolic link. Change what it leads to by hand, or put a file in its place`;
    if (stats !== undefined && !stats.isFile()) return `${file}: it is not a file`;
    const root = realpathSync(this.#root);
    const relative = path.relative(root, realpathSync(this.#nearestDirectory(file)));
    if (relative.startsWith('..')) return `${file}: its directory is a symbolic link that leads out of ${this.#root}`;
    return undefined;
  }

  /** The directories on the way to `directory` that are missing, outermost first. */
  missingDirectories(directory: string): string[] {
    if (directory === '/' || this.has(directory)) return [];
    return [...this.missingDirectories(path.dirname(directory)), directory];
  }

  /** Removes those of the directories that are empty, given outermost first. */
  removeEmpty(directories: readonly string[]): void {
    for (const directory of directories.toReversed()) {
      try {
        rmdirSync(this.place(directory));
      } catch (error) {
        const errno = errnoOf(error);
        // In use, or gone already.
        if (errno !== 'ENOTEMPTY' && errno !== 'EEXIST' && errno !== 'ENOENT') throw error;
      }
    }
  }

  /** The trust files of a node in a directory that holds nothing else; none if it does. */
  leftTrust(directory: string): readonly string[] {
    const files = this.#filesBelow(directory);
    return files.every((file) => path.basename(file) === INTERCEPT_CA_FILE) ? files : [];
  }

  #filesBelow(directory: string): string[] {
    const entries = absent(() => readdirSync(this.place(directory), { withFileTypes: true })) ?? [];
    return entries.flatMap((entry) => {
      const file = path.join(directory, entry.name);
      return entry.isDirectory() ? this.#filesBelow(file) : [file];
    });
  }

  #nearestDirectory(file: string): string {
    let directory = path.dirname(file);
    while (directory !== '/' && !this.has(directory)) directory = path.dirname(directory);
    return this.place(directory);
  }
}

function absent<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw error;
  }
}
