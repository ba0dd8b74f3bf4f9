import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Check, examineAll } from './examination.ts';
import { fail, ok, warn } from './finding.ts';
import { formatResult, formatSummary } from './report.ts';

const signal = new AbortController().signal;

function check(id: string, needs: readonly string[], examine: Check['examine']): Check {
  return { id, needs, examine };
}

test('what needs a failed check is skipped, and what needs that too; a warning stops nothing', async () => {
  const told: string[] = [];
  const results = await examineAll(
    [
      check('a', [], async () => fail('no.', 'do')),
      check('b', ['a'], async () => ok('never asked')),
      check('c', ['b'], async () => ok('never asked')),
      check('d', [], async () => warn('hm.', 'do')),
      check('e', ['d'], async () => ok('yes.')),
    ],
    { signal, onResult: ({ id }) => told.push(id) },
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fail', 'skipped', 'skipped', 'warn', 'ok'],
  );
  assert.equal(results[2]?.finding, 'skipped because "b" is not in order');
  assert.deepEqual(told, ['a', 'b', 'c', 'd', 'e']);
  assert.match(formatSummary(results), /^1 of 5 checks failed, 1 warned, 2 were skipped\. Begin with the first FAIL/);
  assert.equal(formatSummary(results.slice(-1)), 'All is well.\n');
});

test('a check that hangs or breaks fails, and the next one has its turn', async () => {
  const results = await examineAll(
    [
      check('hangs', [], () => new Promise(() => {})),
      check(
        'is-cut-off',
        [],
        ({ signal }) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
      ),
      check('breaks', [], async () => {
        throw new Error('with Bearer abc.def.ghi');
      }),
      check('last', [], async () => ok('yes.')),
    ],
    { signal, onResult: () => {}, timeoutMs: 20 },
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fail', 'fail', 'fail', 'ok'],
  );
  assert.match(results[0]?.finding ?? '', /^No answer within/);
  assert.match(results[1]?.finding ?? '', /^No answer within/);
  assert.match(results[2]?.finding ?? '', /^The check broke/);
  assert.doesNotMatch(results[2]?.finding ?? '', /abc\.def/);
});

test('a result is set in lines that a terminal holds, with what to do below and nothing that gives it orders', () => {
  const finding = `${'word '.repeat(30)}\u001b[2J`;
  const command = `Type: sealift ${'--registry registry.example '.repeat(9)}`;
  const text = formatResult({ id: 'peer-port', status: 'fail', finding, advice: command });
  assert.match(text, /^FAIL {2}peer-port {5}word /);
  // In one line, to be copied.
  assert.ok(text.endsWith(`\n${' '.repeat(20)}→ ${command}\n`));
  for (const line of text.split('\n').slice(0, -2)) assert.ok(line.length <= 100, line);
  assert.ok(!text.includes('\u001b'));
});

test('an examination that is ended says so, and blames nobody', async () => {
  const end = new AbortController();
  const told: string[] = [];
  const examine = async ({ signal }: { signal: AbortSignal }) => {
    end.abort(new Error('Ctrl-C'));
    signal.throwIfAborted();
    return ok('not reached');
  };
  const checks = ['one', 'two'].map((id) => ({ id, needs: [], examine }));
  const examining = examineAll(checks, { signal: end.signal, onResult: ({ id }) => void told.push(id) });
  await assert.rejects(examining, { message: 'Ctrl-C' });
  assert.deepEqual(told, []);
});
