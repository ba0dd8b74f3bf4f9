import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseContentLength, parseContentRange } from './content-range.ts';

test('a Content-Range gives first, last and size', () => {
  assert.deepEqual(parseContentRange('bytes 5-9/10'), { first: 5, last: 9, size: 10 });
  assert.deepEqual(parseContentRange('bytes 0-0/*'), { first: 0, last: 0, size: undefined });
});

test('a Content-Range that does not make sense is none', () => {
  const refused = [
    undefined,
    '',
    'bytes 9-5/10',
    'bytes 5-10/10',
    'bytes */10',
    'bytes 5-9',
    'items 5-9/10',
    'bytes -5-9/10',
    'bytes 5-9/10, bytes 0-1/10',
    'bytes 0-9999999999999999/*',
    'bytes 5-9/10\n',
    ['bytes 5-9/10', 'bytes 5-9/10'],
  ];
  for (const header of refused) assert.equal(parseContentRange(header), undefined, String(header));
});

test('a Content-Length is a plain number or nothing', () => {
  assert.equal(parseContentLength('0'), 0);
  assert.equal(parseContentLength('68719476736'), 68_719_476_736);
  for (const header of [undefined, '', '-1', '+1', '1.0', '0x10', '1 ', '9'.repeat(16), ['1', '1']]) {
    assert.equal(parseContentLength(header), undefined, String(header));
  }
});
