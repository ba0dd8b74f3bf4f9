import { AppError, type ErrorCode, isAppError, redactText } from '@sealift/core';

/** Exit status for a command that cannot work as it was given, as against 1 for work that failed (BSD sysexits, EX_USAGE). */
export const EXIT_USAGE = 64;

/** What only another command line, or other files named in it, can mend. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'CONFIG_INVALID',
  'ID_INVALID',
  'KEY_FILE_UNSAFE',
  'LISTEN_NOT_LOOPBACK',
  'REFERENCE_INVALID',
  'REGISTRY_INVALID',
  'REPOSITORY_INVALID',
]);

/** What to do about a refusal of the operating system, by errno. */
const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Something listens there already: stop it, or choose another address',
  EADDRNOTAVAIL: 'No interface of this machine has this address: choose one that it has',
  ENOENT: 'Make its directory first, or choose another place',
  EACCES: 'This user may not do that: change the owner or mode, or choose another place',
  EPERM: 'This user may not do that: change the owner or mode, or choose another place',
  EROFS: 'The file system is read-only: mount it writable, or choose another place',
  ENOSPC: 'The disk is full: free some space, or choose another place',
  EDQUOT: "This user's share of the disk is full: free some space, or choose another place",
  EMFILE: 'Too many files are open: raise the limit (`ulimit -n`)',
};

/** How a failed command ends: what the operator reads, and the exit status. */
export interface Failure {
  readonly text: string;
  readonly exitStatus: number;
}

/** Says what went wrong in one message: with a way out where we know one, and with a stack only where it is our bug. */
export function describeFailure(error: unknown): Failure {
  if (isAppError(error)) {
    return { text: redactLines(error.message), exitStatus: USAGE_CODES.has(error.code) ? EXIT_USAGE : 1 };
  }
  const refusal = describeSystemError(error);
  if (refusal !== undefined) return { text: redactLines(refusal), exitStatus: 1 };
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { text: redactLines(`this is a bug of Sealift: ${trace}`), exitStatus: 1 };
}

/** The errno of a call that the operating system refused, or SQLite on its behalf; `undefined` for any other error. */
export function errnoOf(error: unknown): string | undefined {
  if (isAppError(error)) return typeof error.details['errno'] === 'string' ? error.details['errno'] : undefined;
  const { code, syscall } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  return syscall === undefined ? undefined : code;
}

/** Throws `CONFIG_INVALID` that names the setting at fault. */
export function refuse(setting: string, reason: string, cause?: unknown): never {
  throw new AppError('CONFIG_INVALID', { reason: `\n  ${setting}: ${reason}` }, cause === undefined ? {} : { cause });
}

function describeSystemError(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ERR_SQLITE_ERROR') return `the database in the data directory cannot be used: ${error.message}`;
  const errno = errnoOf(error);
  if (errno === undefined) return undefined;
  const advice = ADVICE[errno];
  return advice === undefined ? error.message : `${error.message}. ${advice}.`;
}

/** Line by line, because a redacted text has a greatest length. */
function redactLines(text: string): string {
  return text.split('\n').map(redactText).join('\n');
}
