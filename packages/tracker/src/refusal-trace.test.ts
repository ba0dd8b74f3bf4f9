import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@sealift/testkit';
import type { AuditFields } from './audit-log.ts';
import { RefusalTrace } from './refusal-trace.ts';

test('one asker cannot fill the log with refusals, and what is left out is counted', () => {
  const clock = new FakeClock();
  const lines: AuditFields[] = [];
  const trace = new RefusalTrace({ audit: { record: (_event, fields) => lines.push(fields) }, clock });
  for (let attempt = 0; attempt < 1_000; attempt += 1)
    trace.record('mallory', 'announce_refused', { nodeId: 'mallory' });
  assert.equal(lines.length, 20);
  trace.record('alice', 'announce_refused', { nodeId: 'alice' });
  assert.deepEqual(lines.at(-1), { nodeId: 'alice', unlistedBefore: 980 });
  clock.advance(1_000);
  trace.record('mallory', 'announce_refused', { nodeId: 'mallory' });
  assert.deepEqual(lines.at(-1), { nodeId: 'mallory' });
});
