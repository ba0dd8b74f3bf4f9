import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { AUDIT_FILE, fullPartsIn } from '@sealift/tracker';
import { errnoOf, refuse } from '../failure.ts';
import { LineReader } from './line-reader.ts';

/** How often a log that is followed is looked at, in ms. */
const POLL_MS = 250;

/** What to read. */
export interface AuditReaderOptions {
  /** The tracker's data directory. */
  readonly data: string;
  /** Parts that ended before are left out, in ms. */
  readonly since: number;
  /** Goes on with what is added, until `signal` fires. */
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

/**
 * The lines of an audit log, the oldest first, over all its parts. The tracker may be writing, and putting parts aside,
 * meanwhile. Throws `CONFIG_INVALID` where there is no log that this user may read.
 */
export async function* readAuditLines({ data, since, follow, signal }: AuditReaderOptions): AsyncGenerator<string> {
  const path = join(data, AUDIT_FILE);
  // Opened before the parts are listed, so that it is found even if it becomes one of them.
  let present = await openLog(path);
  try {
    for (const part of await fullPartsIn(data)) {
      if (part.endedAt < since || (await isSame(present, part.path))) continue;
      const file = await open(part.path, 'r').catch(() => undefined);
      // Deleted meanwhile, for want of room.
      if (file === undefined) continue;
      try {
        yield* new LineReader(file).lines();
      } finally {
        await file.close();
      }
    }
    for (let reader = new LineReader(present); ; ) {
      yield* reader.lines();
      if (!follow || signal.aborted) return;
      if (await isSame(present, path)) await pause(signal);
      else {
        // What came between the last look and the change of files.
        yield* reader.lines();
        await present.close();
        present = await openLog(path);
        reader = new LineReader(present);
      }
    }
  } finally {
    await present.close();
  }
}

async function openLog(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    refuse('--data', `cannot read ${path} (${errnoOf(error)})`, error);
  }
}

async function isSame(file: FileHandle, path: string): Promise<boolean> {
  const [one, other] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  // A name that leads nowhere: the next file is about to be made.
  return other === undefined || (one.ino === other.ino && one.dev === other.dev);
}

async function pause(signal: AbortSignal): Promise<void> {
  await setTimeout(POLL_MS, undefined, { signal }).catch(() => {
    // Asked to end, which the caller sees.
  });
}
