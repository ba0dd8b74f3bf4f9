import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineSplitter } from './line-splitter.ts';

/** What comes out of chunks: lines, and `undefined` where one was too long. */
function split(chunks: readonly Buffer[], maxBytes = 64): (string | undefined)[] {
  const seen: (string | undefined)[] = [];
  const lines = new LineSplitter({
    maxBytes,
    onLine: (line) => seen.push(line),
    onTooLong: () => seen.push(undefined),
  });
  for (const chunk of chunks) lines.push(chunk);
  lines.flush();
  return seen;
}

test('lines come out whole wherever the chunks end, in the middle of a character too', () => {
  const text = 'eins\nzwölf\n\nein Rest';
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: Buffer.byteLength(text) }), { maxLength: 6 }), (cuts) => {
      const bytes = Buffer.from(text);
      const ends = [...cuts.sort((a, b) => a - b), bytes.length];
      const chunks = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
      assert.deepEqual(split(chunks), ['eins', 'zwölf', 'ein Rest']);
    }),
    { seed: 5, numRuns: 200 },
  );
});

test('a line above the limit is told of and not held', () => {
  assert.deepEqual(split([Buffer.from('a'.repeat(60)), Buffer.from('a'.repeat(60))]), [undefined]);
});
