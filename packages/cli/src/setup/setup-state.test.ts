import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatState, NO_SETUP, parseState, type SetupState, withoutOurs } from './setup-state.ts';

test('a state reads as it was written, and nothing to keep is no file', () => {
  const record = { path: '/etc/x', before: null, after: 'é\n', undo: 'whole' } as const;
  const state: SetupState = { runtimes: new Map([['docker', [record]]]), directories: ['/etc/y'] };
  assert.deepEqual(parseState(formatState(state) ?? '', '/state'), state);
  assert.equal(formatState(NO_SETUP), undefined);
});

for (const text of ['', '{}', '[]', 'null', '{"version":2,"runtimes":{},"directories":[]}', '{"version":1}']) {
  test(`${JSON.stringify(text)} is not taken for a state`, () => {
    assert.throws(() => parseState(text, '/state'), { code: 'CONFIG_INVALID' });
  });
}

test('an empty list of mirrors that was there before stays there', () => {
  const record = {
    path: '/etc/docker/daemon.json',
    before: '{"registry-mirrors": []}',
    after: '{"registry-mirrors": ["http://127.0.0.1:3128"]}',
    undo: 'mirrors',
  } as const;
  const edited = '{"registry-mirrors": ["http://127.0.0.1:3128"], "debug": true}';
  assert.deepEqual(withoutOurs(record, edited), { content: '{"registry-mirrors": [], "debug": true}' });
});

test('lines that were put between others come out again, whatever is written before and behind them', () => {
  const text = fc.array(fc.constantFrom('a\n', 'b\n', 'c\n'), { maxLength: 4 }).map((lines) => lines.join(''));
  fc.assert(
    fc.property(text, text, text, text, (head, tail, above, below) => {
      const ours = '[ours]\n  x = 1\n';
      const record = { path: '/x', before: head + tail, after: head + ours + tail, undo: 'part' } as const;
      assert.deepEqual(withoutOurs(record, above + head + ours + tail + below), {
        content: above + head + tail + below,
      });
    }),
    { seed: 9 },
  );
});
