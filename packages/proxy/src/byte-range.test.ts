import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ByteRange, parseByteRange } from './byte-range.ts';

const ETAG = '"sha256:abc"';
const WHOLE: ByteRange = { kind: 'whole' };
const NONE: ByteRange = { kind: 'unsatisfiable' };
const part = (start: number, end: number): ByteRange => ({ kind: 'part', start, end });

const rows: readonly (readonly [range: string | undefined, size: number, expected: ByteRange])[] = [
  [undefined, 100, WHOLE],
  ['bytes=0-', 100, part(0, 100)],
  ['bytes=0-0', 100, part(0, 1)],
  ['bytes=10-19', 100, part(10, 20)],
  ['bytes=99-99', 100, part(99, 100)],
  ['bytes=50-1000', 100, part(50, 100)],
  ['bytes=-1', 100, part(99, 100)],
  ['bytes=-1000', 100, part(0, 100)],
  ['Bytes=1-2', 100, part(1, 3)],
  ['bytes=100-', 100, NONE],
  ['bytes=100-200', 100, NONE],
  ['bytes=-0', 100, NONE],
  ['bytes=0-', 0, NONE],
  ['bytes=-', 100, WHOLE],
  ['bytes=5-4', 100, WHOLE],
  ['bytes=0-1,5-6', 100, WHOLE],
  ['bytes=a-b', 100, WHOLE],
  ['bytes = 0-1', 100, WHOLE],
  ['items=0-1', 100, WHOLE],
  ['bytes=9999999999999999-', 100, WHOLE],
  ['', 100, WHOLE],
];

for (const [range, size, expected] of rows) {
  test(`the range ${JSON.stringify(range)} of ${size} bytes is ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(parseByteRange(range, { size, etag: ETAG, ifRange: undefined }), expected);
  });
}

test('a part is given only if If-Range names these very bytes', () => {
  const ask = (ifRange: string) => parseByteRange('bytes=1-2', { size: 100, etag: ETAG, ifRange });
  assert.deepEqual(ask(ETAG), part(1, 3));
  assert.deepEqual(ask('"other"'), WHOLE);
  assert.deepEqual(ask(`W/${ETAG}`), WHOLE);
  assert.deepEqual(ask('Sat, 21 Nov 2026 20:00:00 GMT'), WHOLE);
});

test('any text gives a range inside the blob, or none', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(fc.nat(), fc.nat()).map(([first, last]) => `bytes=${first}-${last}`),
      ),
      fc.nat(),
      (text, size) => {
        const range = parseByteRange(text, { size, etag: ETAG, ifRange: undefined });
        if (range.kind !== 'part') return;
        assert.ok(range.start >= 0 && range.start < range.end && range.end <= size);
      },
    ),
    { seed: 7 },
  );
});
