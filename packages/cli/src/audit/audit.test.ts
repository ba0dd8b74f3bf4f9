import assert from 'node:assert/strict';
import { appendFile, open, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { CliProcess, inTemporaryDirectory } from '../cli-process.fixture.ts';
import { formatAuditEntry, isWanted, parseAuditEntry } from './audit-entry.ts';
import { readAuditLines } from './audit-reader.ts';
import { LineReader } from './line-reader.ts';

const entry = (second: number, event: string, fields: object = {}): string =>
  `${JSON.stringify({ time: `2027-01-15T08:00:${String(second).padStart(2, '0')}.000Z`, event, ...fields })}\n`;
const log = (...lines: readonly string[]): string => lines.join('');
const at = (directory: string, name: string): string => path.join(directory, name);
const WHOLE_PART = 'audit-20270115T080010000Z.jsonl';

async function collected(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

test('a file is read line by line wherever its chunks end, and lines that are too long are left out', () =>
  inTemporaryDirectory(async (directory) => {
    const long = 'x'.repeat(200_000);
    const lines = Array.from({ length: 3_000 }, (_, index) => `${index} ${'y'.repeat(index % 97)}`);
    await writeFile(at(directory, 'file'), `${lines.join('\n')}\n${long}\nafter\ntorn`);
    const file = await open(at(directory, 'file'));
    try {
      const reader = new LineReader(file);
      assert.deepEqual(await collected(reader.lines()), [...lines, 'after']);
      assert.equal(reader.skipped, 1);
      await appendFile(at(directory, 'file'), ' no more\n');
      assert.deepEqual(await collected(reader.lines()), ['torn no more']);
    } finally {
      await file.close();
    }
  }));

const wanted = { events: [], node: undefined, repository: undefined, since: 0 };
const rows = [
  { name: 'everything', filter: {}, expected: true },
  { name: 'its event', filter: { events: ['a', 'peer_reported'] }, expected: true },
  { name: 'another event', filter: { events: ['a'] }, expected: false },
  { name: 'the node that did it', filter: { node: 'alice' }, expected: true },
  { name: 'the node that it was done to', filter: { node: 'mallory' }, expected: true },
  { name: 'another node', filter: { node: 'bob' }, expected: false },
  { name: 'another repository', filter: { repository: 'team/app' }, expected: false },
  { name: 'its moment', filter: { since: Date.parse('2027-01-15T08:00:01Z') }, expected: true },
  { name: 'a later moment', filter: { since: Date.parse('2027-01-15T08:00:01.001Z') }, expected: false },
];
for (const { name, filter, expected } of rows) {
  test(`a line is ${expected ? '' : 'not '}among those wanted by ${name}`, () => {
    const parsed = parseAuditEntry(entry(1, 'peer_reported', { nodeId: 'alice', reportedId: 'mallory' }));
    assert.ok(parsed);
    assert.equal(isWanted(parsed, { ...wanted, ...filter }), expected);
  });
}

test('what is no line of ours is none', () => {
  for (const text of ['', '{"event":"node_den', 'null', '[]', '{"event":"a"}', '{"time":"soon","event":"a"}']) {
    assert.equal(parseAuditEntry(text), undefined, text);
  }
});

test('a value cannot give orders to a terminal, nor pass for another field', () => {
  const parsed = parseAuditEntry(entry(1, 'node_denied', { reason: 'x\u001b[2J\u009b nodeId=bob\n', name: 'plain' }));
  assert.ok(parsed);
  assert.equal(
    formatAuditEntry(parsed),
    '2027-01-15T08:00:01.000Z node_denied          reason="x\\u001b[2J\\u009b nodeId=bob\\n" name=plain',
  );
});

test('a log that is followed goes on over a part that is put aside, and misses nothing', () =>
  inTemporaryDirectory(async (directory) => {
    const stop = new AbortController();
    await writeFile(at(directory, 'audit-20270115T080000000Z.jsonl'), entry(0, 'zero'));
    await writeFile(at(directory, 'audit.jsonl'), entry(1, 'one'));
    const lines = readAuditLines({ data: directory, since: 0, follow: true, signal: stop.signal });
    const next = async (): Promise<string | undefined> => parseAuditEntry((await lines.next()).value ?? '')?.event;
    assert.deepEqual([await next(), await next()], ['zero', 'one']);
    const two = next();
    await appendFile(at(directory, 'audit.jsonl'), entry(2, 'two'));
    assert.equal(await two, 'two');
    const three = next();
    await appendFile(at(directory, 'audit.jsonl'), entry(3, 'three'));
    await rename(at(directory, 'audit.jsonl'), at(directory, WHOLE_PART));
    await writeFile(at(directory, 'audit.jsonl'), entry(4, 'four'));
    assert.deepEqual([await three, await next()], ['three', 'four']);
    const end = lines.next();
    stop.abort();
    assert.equal((await end).done, true);
  }));

test('sealift audit shows what is asked for over all parts, and says that a line is broken', () =>
  inTemporaryDirectory(async (directory) => {
    const grant = { nodeId: 'node-1', repository: 'team/app' };
    await writeFile(at(directory, WHOLE_PART), log(entry(1, 'grant_issued', grant), entry(2, 'node_denied')));
    const present = log(entry(20, 'grant_issued', grant), '{"time":"2027-01-', '\n', entry(21, 'grant_issued'));
    await writeFile(at(directory, 'audit.jsonl'), `${present}{"time":"2027-01-15T08:`);
    const audit = new CliProcess([
      ...['audit', '--data', directory, '--event', 'grant_issued', '--repository', 'team/app', '--json'],
    ]);
    assert.equal(await audit.ended(), 0, audit.said);
    assert.equal(audit.printed, log(entry(1, 'grant_issued', grant), entry(20, 'grant_issued', grant)));
    assert.match(audit.said, /1 lines are broken/);
    const late = new CliProcess(['audit', '--data', directory, '--since', '2027-01-15T08:00:15Z']);
    assert.equal(await late.ended(), 0, late.said);
    assert.equal(late.printed.trim().split('\n').length, 2);
    const none = new CliProcess(['audit', '--data', at(directory, 'none')]);
    assert.equal(await none.ended(), 64);
    assert.match(none.said, /--data: cannot read .*ENOENT/);
  }));
