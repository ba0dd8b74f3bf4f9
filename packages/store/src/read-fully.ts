import { read } from 'node:fs';
import { AppError } from '@sealift/core';

/**
 * Fills `into` from `position` on. By callback, because a promise for each read is felt at a gigabyte a second. Throws the
 * file system's error, and `STORE_FAULT` where the file ends too early.
 */
export function readFully(fd: number, into: Uint8Array, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let done = 0;
    const next = (): void => {
      if (done === into.length) resolve();
      else read(fd, into, done, into.length - done, position + done, onRead);
    };
    const onRead = (error: NodeJS.ErrnoException | null, count: number): void => {
      done += count;
      if (error !== null) reject(error);
      else if (count === 0) reject(new AppError('STORE_FAULT', { reason: 'the data file ends too early' }));
      else next();
    };
    next();
  });
}
