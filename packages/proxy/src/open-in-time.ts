import { AppError, isAppError } from '@sealift/core';
import type { BlobRequest, BlobSource, OpenBlob } from './ports.ts';

/**
 * Opens a blob, but waits at most `timeoutMs`, and no longer than until `signal` aborts. What the source opens after that
 * is closed at once. Throws `SWARM_STALLED` at the deadline, or what the source throws.
 */
export async function openInTime(
  source: BlobSource,
  request: BlobRequest,
  { timeoutMs, signal }: { timeoutMs: number; signal: AbortSignal },
): Promise<OpenBlob | undefined> {
  const waiting = new AbortController();
  const late = new AppError('SWARM_STALLED', { reason: 'the blob was not opened in time', timeoutMs });
  const deadline = setTimeout(() => waiting.abort(late), timeoutMs);
  const onAbort = (): void => waiting.abort(signal.reason);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  const opening = new Promise<OpenBlob | undefined>((resolve) => {
    resolve(source.open(request, { signal: waiting.signal }));
  });
  const givenUp = new Promise<never>((_, reject) => {
    waiting.signal.addEventListener('abort', () => reject(waiting.signal.reason));
    if (waiting.signal.aborted) reject(waiting.signal.reason);
  });
  try {
    return await Promise.race([opening, givenUp]);
  } catch (error) {
    opening.then((open) => open?.close()).catch(() => {});
    throw error;
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener('abort', onAbort);
  }
}

/** Whether {@link openInTime} has failed because its time was over. */
export function isLate(error: unknown): boolean {
  return isAppError(error, 'SWARM_STALLED') && error.details['timeoutMs'] !== undefined;
}
