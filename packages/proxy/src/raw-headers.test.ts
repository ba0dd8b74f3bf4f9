import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endToEndHeaders, headerValues } from './raw-headers.ts';

test('what is meant for the next hop only is dropped, with what Connection names', () => {
  const raw = [
    ...['Host', 'r.example', 'Connection', 'keep-alive, X-Hop', 'X-Hop', '1', 'Keep-Alive', 'timeout=5'],
    ...['Proxy-Authorization', 'Basic x', 'Proxy-Connection', 'close', 'TE', 'trailers', 'Upgrade', 'h2c'],
    ...['Transfer-Encoding', 'chunked', 'Accept', 'a', 'accept', 'b'],
  ];
  assert.deepEqual(endToEndHeaders(raw), ['Host', 'r.example', 'Accept', 'a', 'accept', 'b']);
});

test('Connection cannot take away what frames, directs or authorizes a message', () => {
  const raw = [
    'Connection',
    'Host, Content-Length,authorization',
    'Host',
    'h',
    'Content-Length',
    '3',
    'Authorization',
    'x',
  ];
  assert.deepEqual(endToEndHeaders(raw), raw.slice(2));
});

test('the values of a repeated header come in order', () => {
  assert.deepEqual(headerValues(['Warning', '1', 'x', 'y', 'WARNING', '2'], 'warning'), ['1', '2']);
});
