import { AppError, isAppError } from '@sealift/core';

/** What the operating system says about a failed call, in a form that survives a thread boundary. */
export interface DiskFault {
  /** The errno name, for example `ENOSPC`. */
  readonly code: string;
  readonly syscall: string;
  readonly message: string;
}

/** Reads the errno of a failed file call; `undefined` if `error` is something else, and so a bug. */
export function diskFaultOf(error: unknown): DiskFault | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  return code === undefined || syscall === undefined ? undefined : { code, syscall, message };
}

/** An `Error` as `node:fs` would have thrown it, from what a worker reported. */
export function errorOfFault({ code, syscall, message }: DiskFault): Error {
  return Object.assign(new Error(message), { code, syscall });
}

/**
 * What callers see of a failed file call: `STORE_FULL` when the disk or the user's share of it is full, else
 * `STORE_FAULT`. Whatever is no file error comes back as it is.
 */
export function asDiskError(error: unknown, doing: string): unknown {
  const fault = diskFaultOf(error);
  if (isAppError(error) || fault === undefined) return error;
  const isFull = fault.code === 'ENOSPC' || fault.code === 'EDQUOT';
  return new AppError(isFull ? 'STORE_FULL' : 'STORE_FAULT', { reason: doing, errno: fault.code }, { cause: error });
}

/** Whether a file call failed because there is no such file. */
export function isMissing(error: unknown): boolean {
  return diskFaultOf(error)?.code === 'ENOENT';
}
