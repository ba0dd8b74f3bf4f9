import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeRecords, encodeRecords, MAX_RECORD_LENGTH } from './hash-records.ts';

const options = { seed: 7, numRuns: 200 };
const anyRecords = fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 8 });

test('records survive encoding', () => {
  fc.assert(
    fc.property(anyRecords, (records) => {
      const bytes = encodeRecords(records);
      const decoded = decodeRecords(bytes);
      assert.deepEqual(
        decoded.records.map((record) => Uint8Array.from(record)),
        records,
      );
      assert.equal(decoded.length, bytes.length);
    }),
    options,
  );
});

test('a file cut at any place gives the whole records before the cut', () => {
  fc.assert(
    fc.property(anyRecords, fc.nat(), (records, cut) => {
      const bytes = encodeRecords(records);
      const { records: kept, length } = decodeRecords(bytes.subarray(0, cut % (bytes.length + 1)));
      assert.deepEqual(encodeRecords(kept), bytes.subarray(0, length));
      assert.ok(length <= cut % (bytes.length + 1));
    }),
    options,
  );
});

test('arbitrary bytes give records or none, never an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
      const { length } = decodeRecords(Buffer.from(bytes));
      assert.ok(length <= bytes.length);
    }),
    options,
  );
});

test('a stretch of zeros, a changed byte and an absurd length end the list', () => {
  const good = encodeRecords([Buffer.from('good')]);
  const changed = encodeRecords([Buffer.from('bad')]);
  changed[changed.length - 1] = 0;
  const absurd = Buffer.alloc(MAX_RECORD_LENGTH * 2);
  absurd.writeUInt32BE(MAX_RECORD_LENGTH + 1);
  for (const tail of [Buffer.alloc(64), changed, absurd]) {
    assert.deepEqual(decodeRecords(Buffer.concat([good, tail])).records.map(String), ['good']);
  }
});
