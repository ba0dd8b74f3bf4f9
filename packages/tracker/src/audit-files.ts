import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Name of the audit log in the tracker's data directory. */
export const AUDIT_FILE = 'audit.jsonl';

/** A part that is full: `audit-20270115T080000000Z.jsonl`, named for its end, so that names sort as times do. */
const FULL_PART = /^audit-(?<time>[0-9]{8}T[0-9]{9}Z)\.jsonl$/;

/** A part of the audit log that nothing is added to any more. */
export interface AuditPart {
  readonly path: string;
  /** When it was full, in ms: every line of it is older. */
  readonly endedAt: number;
}

/** What the log is called when it is full at `now`, in ms. */
export function fullPartName(now: number): string {
  return `audit-${new Date(now).toISOString().replace(/[-:.]/g, '')}.jsonl`;
}

/** The full parts in a data directory, the oldest first. */
export async function fullPartsIn(dataDirectory: string): Promise<AuditPart[]> {
  const parts: AuditPart[] = [];
  for (const name of (await readdir(dataDirectory)).sort()) {
    const time = FULL_PART.exec(name)?.groups?.['time'];
    const iso = time?.replace(/^(.{4})(..)(..)T(..)(..)(..)(.{3})Z$/, '$1-$2-$3T$4:$5:$6.$7Z');
    const endedAt = Date.parse(iso ?? '');
    if (!Number.isNaN(endedAt)) parts.push({ path: join(dataDirectory, name), endedAt });
  }
  return parts;
}

/** Deletes the oldest full parts until those left have `maxBytes` together at most; returns what it deleted. */
export async function dropOldestParts(dataDirectory: string, maxBytes: number): Promise<AuditPart[]> {
  const dropped: AuditPart[] = [];
  const parts = await fullPartsIn(dataDirectory);
  const sizes = await Promise.all(parts.map(async ({ path }) => (await stat(path)).size));
  let total = sizes.reduce((sum, size) => sum + size, 0);
  for (const [index, part] of parts.entries()) {
    if (total <= maxBytes) break;
    await rm(part.path, { force: true });
    total -= sizes[index] ?? 0;
    dropped.push(part);
  }
  return dropped;
}
