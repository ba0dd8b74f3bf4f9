import type { DatabaseSync } from 'node:sqlite';

/** Single values of the tracker's state. */
export type MetaKey =
  | 'cluster_id'
  | 'deny_version'
  | 'admin_token_sha256'
  | 'origin'
  | 'seeder_id'
  | 'trust_version'
  | 'ca_generation';

/** Reads a single value. */
export function readMeta(database: DatabaseSync, key: MetaKey): string | undefined {
  const value = database.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.['value'];
  return typeof value === 'string' ? value : undefined;
}

/** Writes a single value over what was there. */
export function writeMeta(database: DatabaseSync, key: MetaKey, value: string): void {
  database
    .prepare('INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')
    .run(key, value);
}
