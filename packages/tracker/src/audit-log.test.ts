import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { AuditFile } from './audit-log.ts';

async function withAudit(use: (audit: AuditFile, path: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sealift-audit-'));
  const path = join(directory, 'audit.jsonl');
  const audit = new AuditFile({ path, clock: new FakeClock(), log: silentLogger });
  try {
    await use(audit, path);
  } finally {
    await audit.stop();
    await rm(directory, { recursive: true });
  }
}

test('lines are appended in order, over restarts too', async () => {
  await withAudit(async (audit, path) => {
    for (const nodeId of ['a', 'b']) {
      await audit.start();
      await audit.start();
      audit.record('node_denied', { nodeId });
      audit.record('node_allowed', { nodeId });
      await audit.stop();
      await audit.stop();
    }
    const lines = (await readFile(path, 'utf8')).trim().split('\n');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line) as object),
      ['a', 'b'].flatMap((nodeId) =>
        ['node_denied', 'node_allowed'].map((event) => ({ time: '2027-01-15T08:00:00.000Z', event, nodeId })),
      ),
    );
  });
});

test('a text with line breaks stays one line', async () => {
  await withAudit(async (audit, path) => {
    await audit.start();
    audit.record('node_denied', { reason: 'x\n{"event":"node_allowed"}' });
    await audit.stop();
    assert.equal((await readFile(path, 'utf8')).trim().split('\n').length, 1);
  });
});

test('a burst is bounded and the gap is written down', async () => {
  await withAudit(async (audit, path) => {
    await audit.start();
    for (let line = 0; line < 20_010; line += 1) audit.record('node_denied', {});
    await audit.stop();
    const lines = (await readFile(path, 'utf8')).trim().split('\n');
    assert.equal(lines.length, 20_001);
    assert.deepEqual(JSON.parse(lines.at(-1) ?? ''), { event: 'lines_dropped', count: 10 });
  });
});

test('a file that others may read is refused', async () => {
  await withAudit(async (audit, path) => {
    await audit.start();
    await audit.stop();
    await chmod(path, 0o644);
    await assert.rejects(audit.start(), { code: 'KEY_FILE_UNSAFE' });
  });
});
