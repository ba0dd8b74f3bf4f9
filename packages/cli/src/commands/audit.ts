import { once } from 'node:events';
import { systemClock } from '@sealift/core';
import { formatAuditEntry, isWanted, parseAuditEntry } from '../audit/audit-entry.ts';
import { readAuditLines } from '../audit/audit-reader.ts';
import type { ConfigOf } from '../config.ts';
import type { AUDIT_OPTIONS } from '../options.ts';

/** `sealift audit`: the lines of the audit log that are asked for, on standard output. */
export async function runAudit(
  { data, event, node, repository, since, json, follow }: ConfigOf<typeof AUDIT_OPTIONS>,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const from = since === undefined ? 0 : since.momentAt(systemClock.now());
  const filter = { events: event, node, repository, since: from };
  let unreadable = 0;
  for await (const line of readAuditLines({ data, since: from, follow, signal })) {
    const entry = parseAuditEntry(line);
    if (entry === undefined) unreadable += line === '' ? 0 : 1;
    else if (isWanted(entry, filter)) await print(json ? line : formatAuditEntry(entry), signal);
    if (signal.aborted || !process.stdout.writable) return;
  }
  if (unreadable > 0) process.stderr.write(`sealift: ${unreadable} lines are broken and were left out\n`);
}

/** Waits while nobody takes what is printed: a log may be larger than memory. */
async function print(line: string, signal: AbortSignal): Promise<void> {
  if (process.stdout.write(`${line}\n`) || !process.stdout.writable) return;
  await once(process.stdout, 'drain', { signal }).catch(() => {
    // The reader is gone, or we are to end.
  });
}
