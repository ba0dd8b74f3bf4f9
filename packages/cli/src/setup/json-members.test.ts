import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addFirst, removeItem } from './json-members.ts';

const ours = 'http://127.0.0.1:3128';
const rows = [
  ['{}', `{\n  "m": ["${ours}"]\n}`],
  ['{ }\n', `{\n  "m": ["${ours}"]\n}\n`],
  ['{"a":1}', `{"m": ["${ours}"], "a":1}`],
  ['{\n    "a": 1\n}\n', `{\n    "m": ["${ours}"],\n    "a": 1\n}\n`],
  ['{"m": []}', `{"m": ["${ours}"]}`],
  ['{"m":["x"], "n": 0.10}', `{"m":["${ours}", "x"], "n": 0.10}`],
  ['{\n\t"m": [\n\t\t"x"\n\t]\n}', `{\n\t"m": [\n\t\t"${ours}",\n\t\t"x"\n\t]\n}`],
  ['{"o": {"m": ["x"]}, "s": "\\"m\\": ["}', `{"m": ["${ours}"], "o": {"m": ["x"]}, "s": "\\"m\\": ["}`],
] as const;

for (const [before, after] of rows) {
  test(`an item goes into ${JSON.stringify(before)}, and the rest stays as it was`, () => {
    assert.equal(addFirst(before, 'm', ours), after);
  });
}

test('an item comes out again with its comma, from the middle and the ends', () => {
  const remove = (text: string, dropsEmpty = true): string => removeItem(text, 'm', ours, { dropsEmpty });
  assert.equal(remove(`{"m": ["${ours}", "x"]}`), '{"m": ["x"]}');
  assert.equal(remove(`{"m": ["x", "${ours}"]}`), '{"m": ["x"]}');
  assert.equal(remove(`{"m": ["${ours}"]}`), '{}');
  assert.equal(remove(`{"m": ["${ours}"]}`, false), '{"m": []}');
  assert.equal(remove(`{"a": 1, "m": ["${ours}"]}`), '{"a": 1}');
  assert.equal(remove(`{"m": ["${ours}"], "a": 1}`), '{"a": 1}');
  assert.equal(remove('{"a": 1}'), '{"a": 1}');
  assert.equal(remove('{"m": ["x"]}'), '{"m": ["x"]}');
});

test('in any document an item is added first and taken out again, and all else means what it meant', () => {
  const document = fc.record(
    { m: fc.array(fc.string()), rest: fc.dictionary(fc.string(), fc.jsonValue()) },
    {
      requiredKeys: ['rest'],
    },
  );
  fc.assert(
    fc.property(document, fc.constantFrom(undefined, 2, '\t'), ({ m, rest }, indent) => {
      const { m: _, ...others } = rest;
      const value = { ...others, ...(m === undefined ? {} : { m }) };
      const text = JSON.stringify(value, undefined, indent);
      const added = addFirst(text, 'm', ours);
      assert.deepEqual(JSON.parse(added), { ...value, m: [ours, ...(m ?? [])] });
      const removed = removeItem(added, 'm', ours, { dropsEmpty: m === undefined });
      assert.deepEqual(JSON.parse(removed), JSON.parse(text));
    }),
    { seed: 3, numRuns: 300 },
  );
});
