import { isAppError, type RegistryHost } from '@sealift/core';
import type { Endpoint } from '../option-values.ts';

/** The container runtimes that can be set up. */
export const RUNTIMES = ['docker', 'containerd', 'podman'] as const;
export type RuntimeName = (typeof RUNTIMES)[number];

/** What a runtime is to be set up for. */
export interface SetupRequest {
  /** The registries of the node. */
  readonly registries: readonly RegistryHost[];
  /** Where the node's proxy listens. */
  readonly listen: Endpoint;
}

/** The configuration of a machine, to look at. Paths are those that the runtime sees. */
export interface ConfigTree {
  /** The text of a file; `undefined` if there is none. Throws `CONFIG_INVALID` for what is no file of text. */
  read(path: string): string | undefined;
  /** The names in a directory, sorted; none if there is no such directory. */
  list(directory: string): readonly string[];
  /** Whether there is such a file and not everybody may read it: then nothing of it may go where everybody may. */
  isPrivate(path: string): boolean;
}

/**
 * How our part of a file can be taken out after its owner has changed the rest: `whole` files are ours from end to end,
 * `part` is text between theirs, `mirrors` is our item of a list in daemon.json.
 */
export type UndoKind = 'whole' | 'part' | 'mirrors';

/** A file as a runtime needs it. */
export interface PlannedFile {
  readonly path: string;
  readonly content: string;
  readonly undo: UndoKind;
  /** For its owner only, where it is new. */
  readonly isPrivate?: boolean;
}

/** What setting up a runtime takes. */
export interface RuntimePlan {
  readonly files: readonly PlannedFile[];
  /** Directories that something besides us needs, innermost ones only. */
  readonly directories: readonly string[];
  /** What the operator must know and do beside it. */
  readonly notes: readonly string[];
  /** Why it cannot be done, each with the file at fault; nothing may be written if there are any. */
  readonly problems: readonly string[];
}

/** `host:port` as it stands in a URL. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** What the operator has to start the node with, so that it is what the runtime is told of. */
export function nodeNote({ registries, listen }: SetupRequest, certsDirectory?: string): string {
  const flags = [
    `--listen ${formatEndpoint(listen)}`,
    ...registries.map((registry) => `--registry ${registry}`),
    ...(certsDirectory === undefined ? [] : [`--certs-directory ${certsDirectory}`]),
  ];
  return `Start the node with ${flags.join(' ')}.`;
}

/** What stands against a file, for {@link RuntimePlan}; throws what is not about the file. */
export function problemOf(path: string, error: unknown): string {
  if (!isAppError(error, 'CONFIG_INVALID')) throw error;
  const reason = String(error.details['reason']).trim();
  return reason.startsWith(path) ? reason : `${path}: ${reason}`;
}

/** The first line of files that are ours. */
export const OWN_FILE =
  '# Written by `sealift setup`; `sealift uninstall` takes it away again. Change it by another `sealift setup`.\n';
