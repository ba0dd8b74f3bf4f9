import { AppError } from '@sealift/core';
import { changedLines } from './changed-lines.ts';
import { removeItem } from './json-members.ts';
import { RUNTIMES, type RuntimeName, type UndoKind } from './runtime-plan.ts';

/** A file that setup has changed. */
export interface FileRecord {
  readonly path: string;
  /** What was there, or `null` if there was nothing. */
  readonly before: string | null;
  readonly after: string;
  readonly undo: UndoKind;
}

/** What setup keeps, so that uninstall can put it back. */
export interface SetupState {
  /** The files of each runtime that is set up. */
  readonly runtimes: ReadonlyMap<RuntimeName, readonly FileRecord[]>;
  /** Directories that were made for them, outermost first. */
  readonly directories: readonly string[];
}

/** Nothing is set up. */
export const NO_SETUP: SetupState = { runtimes: new Map(), directories: [] };

/** The list in daemon.json that our item stands in. */
const MIRRORS = 'registry-mirrors';
/** The form of the state file; another one is not understood. */
const VERSION = 1;

/** Writes a state; `undefined` if there is nothing to keep. */
export function formatState({ runtimes, directories }: SetupState): string | undefined {
  if (runtimes.size === 0 && directories.length === 0) return undefined;
  return `${JSON.stringify({ version: VERSION, runtimes: Object.fromEntries(runtimes), directories }, undefined, 2)}\n`;
}

/** Throws `CONFIG_INVALID` for a file that this release did not write. */
export function parseState(text: string, path: string): SetupState {
  try {
    const { version, runtimes, directories } = JSON.parse(text) as {
      version: number;
      runtimes: Readonly<Record<string, readonly FileRecord[]>>;
      directories: readonly string[];
    };
    const entries = Object.entries(runtimes).flatMap(([name, files]) =>
      RUNTIMES.filter((runtime) => runtime === name && Array.isArray(files)).map(
        (runtime) => [runtime, files] as const,
      ),
    );
    if (version === VERSION && Array.isArray(directories)) return { runtimes: new Map(entries), directories };
  } catch {
    // Said below.
  }
  throw new AppError('CONFIG_INVALID', {
    reason: `\n  ${path}: another release of Sealift wrote this file; use that one`,
  });
}

/** A file without our part: its text, or `undefined` if nothing is left; or why that cannot be told. */
export type WithoutOurs = { readonly content: string | undefined } | { readonly problem: string };

/** Takes our part out of a file as it is now, which its owner may have changed since. Never takes a change of theirs along. */
export function withoutOurs(record: FileRecord, current: string | undefined): WithoutOurs {
  const before = record.before ?? undefined;
  if (current === record.after || current === before) return { content: before };
  // Its owner has removed it.
  if (current === undefined) return { content: undefined };
  const content = record.undo === 'mirrors' ? withoutMirror(record, current) : withoutPart(record, current);
  if (content !== undefined) return content;
  return {
    problem: `${record.path}: it was changed after \`sealift setup\` wrote it. Take your lines to a file of your own and remove this one, or put back what setup wrote`,
  };
}

function withoutPart({ undo, before, after }: FileRecord, current: string): WithoutOurs | undefined {
  if (undo === 'whole' || before === null) return undefined;
  const { removed, added } = changedLines(before, after);
  const ours = added.join('');
  const at = current.indexOf(ours);
  // Where it stands twice, nobody knows which one is ours.
  if (ours === '' || at === -1 || current.lastIndexOf(ours) !== at) return undefined;
  return { content: current.slice(0, at) + removed.join('') + current.slice(at + ours.length) };
}

function withoutMirror({ before, after }: FileRecord, current: string): WithoutOurs | undefined {
  const [theirs, ours, now] = [mirrorsOf(before ?? '{}'), mirrorsOf(after), mirrorsOf(current)];
  const item = ours?.find((mirror) => theirs?.includes(mirror) !== true);
  if (item === undefined || now === undefined) return undefined;
  const rest = removeItem(current, MIRRORS, item, { dropsEmpty: !hasMirrors(before) });
  const isEmpty = before === null && /^\s*\{\s*\}\s*$/.test(rest);
  return { content: isEmpty ? undefined : rest };
}

function hasMirrors(daemonJson: string | null): boolean {
  return daemonJson !== null && Object.hasOwn(JSON.parse(daemonJson.trim() || '{}') as object, MIRRORS);
}

/** The mirrors of a daemon.json, none if it names none; `undefined` if it is not one. */
function mirrorsOf(text: string): readonly string[] | undefined {
  try {
    const { [MIRRORS]: mirrors = [] } = JSON.parse(text.trim() === '' ? '{}' : text) as Record<string, unknown>;
    return Array.isArray(mirrors) ? mirrors : undefined;
  } catch {
    return undefined;
  }
}
