import { open, rename } from 'node:fs/promises';

/**
 * Replaces the file at `path` in one step, mode 0600: whoever is killed in between leaves the old file or the new one.
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  const commit = await draftFile(path, content);
  await commit();
}

/** The same in two steps: writes the file, and returns what puts it in its place. */
export async function draftFile(path: string, content: string | Uint8Array): Promise<() => Promise<void>> {
  const draft = `${path}.tmp`;
  const handle = await open(draft, 'w', 0o600);
  try {
    await handle.writeFile(content);
  } finally {
    await handle.close();
  }
  return () => rename(draft, path);
}

/** Brings a file, or the names in a directory, to the disk. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
