import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import { redirectTarget } from './redirect.ts';

const from = new URL('https://registry.example:5000/v2/a/blobs/x');
const SECRET = 'czNjcjN0LXZhbHVl';

test('a redirect leads to an absolute or relative HTTPS address', () => {
  assert.equal(redirectTarget('https://cdn.example/b?sig=1#x', from).href, 'https://cdn.example/b?sig=1');
  assert.equal(redirectTarget('/elsewhere', from).href, 'https://registry.example:5000/elsewhere');
  assert.equal(redirectTarget('//cdn.example/b', from).href, 'https://cdn.example/b');
});

test('any other redirect is refused, and its URL is not repeated', () => {
  const refused = [
    undefined,
    ['https://a.example', 'https://b.example'],
    `http://cdn.example/?sig=${SECRET}`,
    `file:///${SECRET}`,
    `data:text/plain,${SECRET}`,
    `https://user:${SECRET}@cdn.example/`,
    `https://${SECRET}@cdn.example/`,
    `https://[${SECRET}/`,
    `https://cdn.example/${SECRET.repeat(1000)}`,
  ];
  for (const location of refused) {
    assert.throws(
      () => redirectTarget(location, from),
      (error) => isAppError(error, 'REGISTRY_UNAVAILABLE') && !error.message.includes(SECRET),
      String(location),
    );
  }
});
