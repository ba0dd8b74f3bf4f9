import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import fc from 'fast-check';
import { formatTomlStrings, readToml, tomlStrings } from './toml-document.ts';

const DOCUMENT = `# a comment
version = 2
imports = [
  "a.toml", # "not this"
  'b.toml',
]
[plugins]
  [plugins."io.containerd.grpc.v1.cri"] # trailing
    a.b."c.d" = { x = "}" }
text = """
[not.a.table]
key = "no"
"""
[[list]]
  literal = 'C:\\path'`;

test('tables and keys are found with their names, and what only looks like them is not', () => {
  const { entries, headers } = readToml(DOCUMENT);
  assert.deepEqual(
    headers.map(({ path }) => path),
    [['plugins'], ['plugins', 'io.containerd.grpc.v1.cri'], ['list']],
  );
  assert.deepEqual(
    entries.map(({ path }) => path.join('/')),
    [
      ...['version', 'imports', 'plugins/io.containerd.grpc.v1.cri/a/b/c.d', 'plugins/io.containerd.grpc.v1.cri/text'],
      'list/literal',
    ],
  );
  assert.deepEqual(tomlStrings(entries[1]?.value ?? ''), ['a.toml', 'b.toml']);
});

test('the places of tables and keys, and what is between them, are the whole document', () => {
  const { entries, headers } = readToml(DOCUMENT);
  const lines = [...entries, ...headers].sort((a, b) => a.start - b.start);
  const between = lines.map(({ end }, index) => DOCUMENT.slice(end, lines[index + 1]?.start ?? DOCUMENT.length));
  const said = lines.map(({ start, end }) => DOCUMENT.slice(start, end));
  assert.equal(`# a comment\n${said.map((text, index) => text + between[index]).join('')}`, DOCUMENT);
  assert.equal(between.join(''), '');
});

for (const text of ['a', 'a =', 'a = "', "a = '", 'a = [1', '[a', '[a]]', '= 1', '[[a]', 'a = """x', 'a = 1 ]']) {
  test(`${JSON.stringify(text)} is refused with its line`, () => {
    assert.throws(
      () => readToml(`ok = 1\n${text}`),
      (error) => isAppError(error, 'CONFIG_INVALID') && /line 2/.test(error.message),
    );
  });
}

test('any text is a document or refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'a.[]{}="\'\\#\n, ') }), (text) => {
      try {
        readToml(text);
      } catch (error) {
        assert.ok(isAppError(error, 'CONFIG_INVALID'));
      }
    }),
    { seed: 5, numRuns: 2000 },
  );
});

test('an array of strings reads as it was written', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (texts) => assert.deepEqual(tomlStrings(formatTomlStrings(texts)), texts)),
    { seed: 6 },
  );
});
