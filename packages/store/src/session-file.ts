import { constants } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { syncPath } from './atomic-file.ts';

/** How the last process that used the store left it. */
export interface LastSession {
  /** All that it wrote was on the disk for good when it ended. */
  readonly wasClean: boolean;
  /** The machine has not gone down since, so that whatever it wrote is at least in the kernel's hands. */
  readonly isSameBoot: boolean;
}

/** Reads the marker in `directory`. What is missing or corrupt counts as the worst case. */
export async function readLastSession(directory: string): Promise<LastSession> {
  try {
    const session = JSON.parse(await readFile(pathIn(directory), 'utf8')) as Readonly<Record<string, unknown>> | null;
    const bootId = await currentBootId();
    return {
      wasClean: session?.['isClean'] === true,
      isSameBoot: bootId !== undefined && session?.['bootId'] === bootId,
    };
  } catch {
    // Missing or unreadable: trusting nothing is always right, it only costs hashing.
    return { wasClean: false, isSameBoot: false };
  }
}

/** Writes the marker; it is on the disk for good when this resolves. */
export async function writeSession(directory: string, { isClean }: { isClean: boolean }): Promise<void> {
  const bootId = await currentBootId();
  // In place, not through a new file: a node must be able to start on a full disk. A torn marker counts as none.
  const file = await open(pathIn(directory), constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    const text = `${JSON.stringify({ bootId, isClean })}\n`;
    await file.write(text, 0);
    await file.truncate(Buffer.byteLength(text));
    await file.sync();
  } finally {
    await file.close();
  }
  await syncPath(directory);
}

function pathIn(directory: string): string {
  return join(directory, 'session.json');
}

/** The kernel's id of this boot (proc_sys_kernel(5)); `undefined` where there is none. */
async function currentBootId(): Promise<string | undefined> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    // Not Linux, or /proc is hidden: then each start without a clean stop counts as a power loss.
    return undefined;
  }
}
