import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '@sealift/core';
import { parseRetryAfter, retryAfterOf } from './retry-after.ts';

const now = Date.parse('Fri, 15 Jan 2027 08:00:00 GMT');

for (const [header, date, expected] of [
  ['0', undefined, 0],
  ['7', undefined, 7_000],
  ['999999999', undefined, 86_400_000],
  ['Fri, 15 Jan 2027 08:00:09 GMT', undefined, 9_000],
  ['Fri, 15 Jan 2027 08:00:09 GMT', 'Fri, 15 Jan 2027 08:00:05 GMT', 4_000],
  ['Fri, 15 Jan 2027 07:00:00 GMT', undefined, 0],
  ['-1', undefined, undefined],
  ['soon', undefined, undefined],
  [undefined, undefined, undefined],
  [['1', '2'], undefined, undefined],
] as const) {
  test(`Retry-After "${header}" with Date "${date}" means ${expected} ms`, () => {
    const text = typeof header === 'object' ? [...header] : header;
    assert.equal(parseRetryAfter(text, { date, now }), expected);
  });
}

test('only an unavailable registry asks to wait', () => {
  assert.equal(retryAfterOf(new AppError('REGISTRY_UNAVAILABLE', { retryAfterMs: 5 })), 5);
  assert.equal(retryAfterOf(new AppError('REGISTRY_UNAVAILABLE')), undefined);
  assert.equal(retryAfterOf(new AppError('REGISTRY_REFUSED', { retryAfterMs: 5 })), undefined);
});
