import { dirname } from 'node:path';
import { AppError } from '@sealift/core';
import { planContainerd } from './containerd-plan.ts';
import { planDocker } from './docker-plan.ts';
import { applyChanges, type FileChange } from './file-transaction.ts';
import { planPodman } from './podman-plan.ts';
import type { ConfigTree, RuntimeName, RuntimePlan, SetupRequest } from './runtime-plan.ts';
import type { SetupDisk } from './setup-disk.ts';
import { type FileRecord, formatState, NO_SETUP, parseState, type SetupState, withoutOurs } from './setup-state.ts';
import { unifiedDiff } from './unified-diff.ts';

const PLANNERS: Readonly<Record<RuntimeName, (request: SetupRequest, tree: ConfigTree) => RuntimePlan>> = {
  docker: planDocker,
  containerd: planContainerd,
  podman: planPodman,
};
/** Beside the node's data directory, not in it: that one may be deleted at any time. */
const STATE_DIRECTORY = '/var/lib/sealift-setup';
const STATE = `${STATE_DIRECTORY}/state.json`;

/** Changes to the configuration of runtimes that can be made as a whole. */
export interface SetupChanges {
  /** What becomes of the files, as unified diffs; empty if nothing does. */
  readonly diff: string;
  /** The files that change, and the runtimes that read them. */
  readonly paths: readonly string[];
  readonly runtimes: readonly RuntimeName[];
  /** What the operator must know and do beside it. */
  readonly notes: readonly string[];
  /**
   * Makes the changes, all or none, and says what is left to do. Throws `CONFIG_INVALID` if somebody has changed a file since,
   * and the file system's error, with everything as it was.
   */
  apply(): readonly string[];
}

/**
 * Prepares what sets a runtime up, from whatever an earlier set-up of it has left. Throws one `CONFIG_INVALID` that names every
 * problem; nothing has been written then.
 */
export function prepareSetup(runtime: RuntimeName, request: SetupRequest, disk: SetupDisk): SetupChanges {
  const state = readState(disk);
  const earlier = state.runtimes.get(runtime) ?? [];
  const { base, problems } = withoutSetup(earlier, disk);
  const plan = PLANNERS[runtime](request, base);
  problems.push(...plan.problems);
  const records = plan.files.map(({ path, content, undo }): FileRecord => {
    const before = base.read(path) ?? null;
    // It is ours if it is the same: what was kept of an earlier set-up has been lost.
    const isOurs = undo === 'whole' && before === content;
    if (undo === 'whole' && before !== null && !isOurs)
      problems.push(`${path}: there is such a file already: move it away first`);
    return { path, before: isOurs ? null : before, after: content, undo };
  });
  const wanted = new Map(records.map(({ path, after }) => [path, after]));
  const paths = [...new Set([...earlier.map(({ path }) => path), ...wanted.keys()])];
  const secret = new Set(plan.files.filter(({ isPrivate }) => isPrivate).map(({ path }) => path));
  const contentOf = (path: string): string | undefined => wanted.get(path) ?? base.read(path);
  const changes = changesOf(paths, { disk, problems, contentOf, isPrivate: (path) => secret.has(path) });
  const needed = [...records.map(({ path }) => dirname(path)), ...plan.directories, STATE_DIRECTORY];
  const missing = [...new Set(needed.flatMap((directory) => disk.missingDirectories(directory)))];
  const next = {
    runtimes: new Map([...state.runtimes, [runtime, records] as const]),
    directories: [...new Set([...state.directories, ...missing])],
  };
  return {
    ...changes,
    runtimes: [runtime],
    notes: plan.notes,
    apply: () => {
      // Also where no file changes: what was kept may have been lost.
      if (changes.files.length === 0 && disk.read(STATE) === formatState(next)) return [];
      changes.checkUnchanged();
      // What was there is safe before the first file is replaced.
      const files = [stateChange(next, disk), ...changes.files];
      applyChanges(
        missing.map((directory) => disk.place(directory)),
        files,
      );
      return [];
    },
  };
}

/** Prepares what takes the set-up of these runtimes back. Throws as {@link prepareSetup}. */
export function prepareUninstall(runtimes: readonly RuntimeName[], disk: SetupDisk): SetupChanges {
  const state = readState(disk);
  const records = runtimes.flatMap((runtime) => state.runtimes.get(runtime) ?? []);
  const { base, problems } = withoutSetup(records, disk);
  const paths = records.map(({ path }) => path);
  const changes = changesOf(paths, { disk, problems, contentOf: (path) => base.read(path) });
  const left = new Map([...state.runtimes].filter(([runtime]) => !runtimes.includes(runtime)));
  return {
    ...changes,
    runtimes: [...state.runtimes.keys()].filter((runtime) => runtimes.includes(runtime)),
    notes: [],
    apply: () => {
      changes.checkUnchanged();
      // What was there is forgotten last.
      applyChanges([], [...changes.files, stateChange({ runtimes: left, directories: state.directories }, disk)]);
      return removeDirectories({ runtimes: left, directories: state.directories }, disk);
    },
  };
}

/** Removes the directories that were made and that nobody uses any more. */
function removeDirectories({ runtimes, directories }: SetupState, disk: SetupDisk): string[] {
  disk.removeEmpty(directories);
  const trust = directories.flatMap((directory) => disk.leftTrust(directory));
  const isDone = runtimes.size === 0 && trust.length === 0;
  const kept = isDone ? [] : directories.filter((directory) => disk.has(directory));
  applyChanges([], [stateChange({ runtimes, directories: kept }, disk)]);
  if (isDone) disk.removeEmpty(directories);
  return [...new Set(trust)].map(
    (path) => `${path} is the node's, which removes it when it stops. Then run this again.`,
  );
}

function readState(disk: SetupDisk): SetupState {
  const text = disk.read(STATE);
  return text === undefined ? NO_SETUP : parseState(text, STATE);
}

function stateChange(state: SetupState, disk: SetupDisk): FileChange {
  // What it keeps may hold credentials.
  return { place: disk.place(STATE), content: formatState(state), mode: 0o600 };
}

/** The tree as it would be without what was set up, and where that cannot be told. */
function withoutSetup(records: readonly FileRecord[], disk: SetupDisk): { base: ConfigTree; problems: string[] } {
  const problems: string[] = [];
  const restored = new Map<string, string | undefined>();
  for (const record of records) {
    const found = withoutOurs(record, disk.read(record.path));
    if ('problem' in found) problems.push(found.problem);
    else restored.set(record.path, found.content);
  }
  const read = (path: string): string | undefined => {
    if (restored.has(path)) return restored.get(path);
    return disk.read(path);
  };
  const list = (directory: string): readonly string[] =>
    disk.list(directory).filter((name) => {
      const path = `${directory}/${name}`;
      return !restored.has(path) || restored.get(path) !== undefined;
    });
  return { base: { read, list, isPrivate: (path) => disk.isPrivate(path) }, problems };
}

/** What turns the files on the disk into those that are wanted. Throws what stands against it, all at once. */
function changesOf(
  paths: readonly string[],
  {
    disk,
    problems,
    contentOf,
    isPrivate = () => false,
  }: {
    disk: SetupDisk;
    problems: readonly string[];
    contentOf: (path: string) => string | undefined;
    isPrivate?: (path: string) => boolean;
  },
): { diff: string; paths: readonly string[]; files: readonly FileChange[]; checkUnchanged(): void } {
  const targets = paths
    .map((path) => ({ path, current: disk.read(path), content: contentOf(path) }))
    .filter(({ current, content }) => current !== content);
  const state = disk.read(STATE);
  const objections = targets.map(({ path }) => disk.objection(path)).filter((objection) => objection !== undefined);
  const all = [...problems, ...objections];
  if (all.length > 0) throw new AppError('CONFIG_INVALID', { reason: `\n  ${all.join('\n  ')}` });
  return {
    diff: targets.map(({ path, current, content }) => unifiedDiff(path, current, content)).join(''),
    paths: targets.map(({ path }) => path),
    files: targets.map(({ path, content }) => ({
      place: disk.place(path),
      content,
      mode: isPrivate(path) ? 0o600 : 0o644,
    })),
    checkUnchanged: () => {
      // Another set-up at the same time shows in the state.
      for (const { path, current } of [...targets, { path: STATE, current: state }]) {
        if (disk.read(path) === current) continue;
        throw new AppError('CONFIG_INVALID', {
          reason: `\n  ${path}: somebody else has just changed it; run this again`,
        });
      }
    },
  };
}
