import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import fc from 'fast-check';
import { type BencodeValue, decodeBencode, encodeBencode } from './bencode.ts';

const latin1 = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const integer = fc.maxSafeInteger().map((number) => number + 0);
const value: fc.Arbitrary<BencodeValue> = fc.letrec<{ value: BencodeValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    integer,
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(latin1, tie('value')), { maxLength: 4 }).map((entries) => sortedMap(entries)),
  ),
})).value;

/** Bytes that look like bencode far more often than chance would have it. */
const almostBencode = fc
  .array(fc.constantFrom('d', 'l', 'i', 'e', ':', '-', '0', '1', '2', '9', 'x'), { maxLength: 24 })
  .map((letters) => Buffer.from(letters.join('')));

test('what is encoded decodes to the same value', () => {
  fc.assert(
    fc.property(value, (original) => {
      assert.deepEqual(decodeBencode(encodeBencode(original)), original);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('arbitrary bytes give their one canonical value or BENCODE_INVALID', () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), almostBencode), (bytes) => {
      try {
        assert.deepEqual(encodeBencode(decodeBencode(bytes)), Buffer.from(bytes));
      } catch (error) {
        if (!isAppError(error, 'BENCODE_INVALID')) throw error;
      }
    }),
    { seed: 1, numRuns: 5000 },
  );
});

test('keys are sorted by byte whatever the order they were set in', () => {
  const entries = new Map([
    ['é', 3],
    ['b', 2],
    ['B', 1],
  ]);
  assert.deepEqual(encodeBencode(entries), Buffer.from('d1:Bi1e1:bi2e1:\xe9i3ee', 'latin1'));
});

test('text goes out as UTF-8 and a byte string comes back', () => {
  assert.deepEqual(decodeBencode(encodeBencode('é')), Buffer.from('é', 'utf8'));
});

test('a key named __proto__ is a key like any other', () => {
  const decoded = decodeBencode(Buffer.from('d9:__proto__i1e4:namei2ee'));
  assert.deepEqual(
    decoded,
    new Map([
      ['__proto__', 1],
      ['name', 2],
    ]),
  );
  assert.equal(Object.getPrototypeOf(decoded), Map.prototype);
});

const refused = [
  ['nothing', ''],
  ['a zero in front', 'i01e'],
  ['minus zero', 'i-0e'],
  ['a zero in front of a negative number', 'i-01e'],
  ['a plus sign', 'i+1e'],
  ['an integer without digits', 'ie'],
  ['a lone minus', 'i-e'],
  ['an integer without end', 'i12'],
  ['a fraction', 'i1.5e'],
  ['an exponent', 'i1e3e'],
  ['an integer that no double holds exactly', 'i9007199254740993e'],
  ['an integer of a thousand digits', `i${'9'.repeat(1000)}e`],
  ['a length with a zero in front', '01:a'],
  ['a negative length', '-1:a'],
  ['a string that is cut short', '5:abc'],
  ['a length of sixteen digits', '9007199254740991:a'],
  ['a length without colon', '3abc'],
  ['a list without end', 'li1e'],
  ['a dictionary without end', 'd1:ai1e'],
  ['a key without value', 'd1:ae'],
  ['a key that is a number', 'di1ei2ee'],
  ['one key twice', 'd1:ai1e1:ai2ee'],
  ['keys out of order', 'd1:bi1e1:ai2ee'],
  ['a second value', 'i1ei2e'],
  ['an end without start', 'e'],
  ['lists nested too deep', `${'l'.repeat(9)}${'e'.repeat(9)}`],
  ['lists nested to exhaust the stack', 'l'.repeat(8000)],
  ['dictionaries nested to exhaust the stack', 'd0:'.repeat(2500)],
  ['thousands of tiny values', `l${'le'.repeat(1024)}e`],
  ['more bytes than the limit', `8190:${'a'.repeat(8190)}`],
] as const;

for (const [what, text] of refused) {
  test(`bencode with ${what} is refused`, () => {
    assert.throws(() => decodeBencode(Buffer.from(text, 'latin1')), { code: 'BENCODE_INVALID' });
  });
}

for (const [what, input] of [
  ['a fraction', 1.5],
  ['a number that is not one', Number.NaN],
  ['an integer too large to be exact', 2 ** 53],
  ['a key outside latin1', new Map([['€', 1]])],
] as const) {
  test(`${what} is not encoded`, () => {
    assert.throws(() => encodeBencode(input), { code: 'BENCODE_INVALID' });
  });
}

test('limits are the caller’s to set', () => {
  const deep = Buffer.from(`${'l'.repeat(9)}${'e'.repeat(9)}`);
  assert.ok(Array.isArray(decodeBencode(deep, { maxDepth: 9 })));
  assert.throws(() => decodeBencode(deep, { maxDepth: 9, maxBytes: 17 }), { code: 'BENCODE_INVALID' });
  assert.throws(() => decodeBencode(deep, { maxDepth: 9, maxValues: 8 }), { code: 'BENCODE_INVALID' });
});

function sortedMap(entries: readonly (readonly [string, BencodeValue])[]): ReadonlyMap<string, BencodeValue> {
  return new Map([...new Map(entries)].sort(([a], [b]) => (a < b ? -1 : 1)));
}
