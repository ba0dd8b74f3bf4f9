import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

/** What a file is to become. */
export interface FileChange {
  readonly place: string;
  /** `undefined` takes the file away. */
  readonly content: string | undefined;
  /** Of a file that is new; one that is there keeps its mode and owner. */
  readonly mode: number;
}

/**
 * Makes the directories, outermost first, and then all changes in their order, or none: everything is written beside its place
 * first, so that a full disk or a missing right shows before a file is replaced. A reader finds each file as it was or as it is
 * to be. Throws the file system's error, with everything as it was.
 */
export function applyChanges(directories: readonly string[], changes: readonly FileChange[]): void {
  const undo: (() => void)[] = [];
  try {
    for (const directory of directories) {
      // Not with `recursive`: that of Node 24 never returns where a parent exists but takes no entries, as /proc.
      mkdirSync(directory);
      undo.push(() => rmdirSync(directory));
      // Whatever the umask: runtimes of other users read what lies there.
      chmodSync(directory, 0o755);
    }
    const staged = changes.map(({ place, content, mode }) => {
      const now = statSync(place, { throwIfNoEntry: false });
      if (content === undefined) return undefined;
      const file = stage({ place, content: Buffer.from(content), mode: now?.mode ?? mode, owner: now });
      undo.push(() => rmSync(file, { force: true }));
      return file;
    });
    for (const [index, { place }] of changes.entries()) {
      const file = staged[index];
      undo.push(wayBack(place));
      if (file === undefined) rmSync(place, { force: true });
      else renameSync(file, place);
    }
  } catch (error) {
    for (const step of undo.toReversed()) step();
    throw error;
  }
}

/** Writes a file beside its place, under a name that no runtime reads. */
function stage({
  place,
  content,
  mode,
  owner,
}: {
  place: string;
  content: Buffer;
  mode: number;
  owner: Stats | undefined;
}): string {
  const file = path.join(path.dirname(place), `.sealift-${randomUUID()}`);
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    writeFileSync(descriptor, content);
    if (owner !== undefined) fchownSync(descriptor, owner.uid, owner.gid);
    fchmodSync(descriptor, mode & 0o7777);
    fsyncSync(descriptor);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
  return file;
}

/** How to bring back what is at a place now. */
function wayBack(place: string): () => void {
  const owner = statSync(place, { throwIfNoEntry: false });
  if (owner === undefined) return () => rmSync(place, { force: true });
  const content = readFileSync(place);
  return () => renameSync(stage({ place, content, mode: owner.mode, owner }), place);
}
