import { randomFillSync } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';

const CHUNK = 4 * 1024 * 1024;

/** Writes `size` random bytes, which nothing can compress or deduplicate. */
export async function writeRandomFile(file: string, size: number): Promise<void> {
  await using handle = await open(file, 'wx');
  const chunk = Buffer.allocUnsafe(CHUNK);
  for (let at = 0; at < size; at += CHUNK) {
    randomFillSync(chunk);
    await handle.writeFile(chunk.subarray(0, Math.min(CHUNK, size - at)));
  }
}

/** Throws unless the two files hold the same bytes. */
export async function demandEqualFiles(expected: string, actual: string): Promise<void> {
  await using left = await open(expected);
  await using right = await open(actual);
  const [a, b] = [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)];
  for (let at = 0; ; ) {
    const [{ bytesRead }, other] = await Promise.all([left.read(a, 0, CHUNK, at), right.read(b, 0, CHUNK, at)]);
    const isEqual = bytesRead === other.bytesRead && a.subarray(0, bytesRead).equals(b.subarray(0, bytesRead));
    if (!isEqual) throw new Error(`what arrived differs from what was sent, near byte ${at}`);
    if (bytesRead === 0) return;
    at += bytesRead;
  }
}

/**
 * Touches as much memory as a run will write. On a virtual machine the first touch of memory that went back to the host
 * costs several times the write itself, and would hit whoever runs first.
 */
export async function warmMemory(directory: string, size: number): Promise<void> {
  const file = path.join(directory, 'warm');
  {
    await using handle = await open(file, 'w');
    const chunk = Buffer.alloc(CHUNK);
    for (let at = 0; at < size; at += CHUNK) await handle.writeFile(chunk.subarray(0, Math.min(CHUNK, size - at)));
  }
  await rm(file);
}
