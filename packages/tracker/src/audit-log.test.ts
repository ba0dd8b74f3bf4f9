import assert from 'node:assert/strict';
import { chmod, type FileHandle, mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type Logger, silentLogger } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { fullPartsIn } from './audit-files.ts';
import { AuditFile } from './audit-log.ts';

async function withAudit(
  use: (audit: AuditFile, path: string, clock: FakeClock) => Promise<void>,
  { quotaBytes = 2 ** 30, log = silentLogger }: { quotaBytes?: number; log?: Logger } = {},
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sealift-audit-'));
  const path = join(directory, 'audit.jsonl');
  const clock = new FakeClock();
  const audit = new AuditFile({ directory, quotaBytes, clock, log });
  try {
    await use(audit, path, clock);
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
    assert.deepEqual(JSON.parse(lines.at(-1) ?? ''), {
      time: '2027-01-15T08:00:00.000Z',
      event: 'lines_dropped',
      count: 10,
    });
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

test('a last line that a crash cut short does not spoil the next one', async () => {
  await withAudit(async (audit, path) => {
    await writeFile(path, '{"event":"node_den', { mode: 0o600 });
    await audit.start();
    audit.record('node_allowed', { nodeId: 'a' });
    await audit.stop();
    const [torn, whole] = (await readFile(path, 'utf8')).split('\n');
    assert.equal(torn, '{"event":"node_den');
    assert.equal((JSON.parse(whole ?? '') as { nodeId?: string }).nodeId, 'a');
  });
});

test('the log keeps within its quota: full parts are put aside, and the oldest goes, not without a word', async () => {
  const warnings: unknown[] = [];
  const log: Logger = { ...silentLogger, warn: (event, fields) => void warnings.push([event, fields]) };
  const quotaBytes = 16 * 1024;
  const work = async (audit: AuditFile, path: string, clock: FakeClock): Promise<void> => {
    // Each is started and stopped so that what it wrote is on the disk before time goes on.
    for (let line = 0; line < 200; line += 1) {
      await audit.start();
      audit.record('node_denied', { nodeId: `node-${line}`, reason: 'x'.repeat(100) });
      await audit.stop();
      clock.advance(1);
    }
    const directory = dirname(path);
    const parts = await fullPartsIn(directory);
    const files = [...parts.map((part) => part.path), path];
    const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
    const size = texts.join('').length;
    assert.ok(size <= quotaBytes + 1024 && size > quotaBytes / 2, `${size} bytes`);
    const lines = texts
      .flatMap((text) => text.trim().split('\n'))
      .filter((text) => text !== '')
      .map((text) => JSON.parse(text) as { event: string; nodeId?: string });
    // The newest are all there, in order.
    const nodes = lines.flatMap(({ nodeId }) => nodeId ?? []);
    assert.deepEqual(
      nodes,
      Array.from({ length: nodes.length }, (_, index) => `node-${200 - nodes.length + index}`),
    );
    assert.ok(lines.some(({ event }) => event === 'audit_part_removed'));
    assert.ok(warnings.length > 0);
    for (const file of files) assert.equal((await stat(file)).mode & 0o777, 0o600);
  };
  await withAudit(work, { quotaBytes, log });
});

test('lines that the disk did not take are counted, the fault is logged once, and the next line that it takes is whole', async (t) => {
  const errors: unknown[] = [];
  const log: Logger = { ...silentLogger, error: (event) => void errors.push(event) };
  const work = async (audit: AuditFile, path: string): Promise<void> => {
    await audit.start();
    const handle = await open(path);
    await handle.close();
    const broken = t.mock.method(Object.getPrototypeOf(handle) as FileHandle, 'appendFile', async () => {
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    });
    for (const nodeId of ['x', 'y']) {
      audit.record('node_denied', { nodeId });
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    }
    broken.mock.restore();
    audit.record('node_denied', { nodeId: 'b' });
    await audit.stop();
    const lines = (await readFile(path, 'utf8')).trim().split('\n');
    const events = lines.map((line) => JSON.parse(line) as { event: string; count?: number });
    assert.deepEqual(
      events.map(({ event, count }) => [event, count]),
      [
        ['node_denied', undefined],
        ['lines_dropped', 2],
      ],
    );
    assert.deepEqual(errors, ['audit_failed']);
  };
  await withAudit(work, { log });
});
