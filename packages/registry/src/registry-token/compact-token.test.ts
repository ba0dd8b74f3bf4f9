import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bearerJwt, parseCompactToken, withBrokenSignature } from './compact-token.ts';

test('any text is a token or none, and never an exception', () => {
  const part = fc.oneof(
    fc.base64String(),
    fc.json().map((text) => Buffer.from(text).toString('base64url')),
    fc.constant(Buffer.from('{"alg":"ES256"}').toString('base64url')),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.tuple(part, part, part).map((parts) => parts.join('.')),
      ),
      (text) => {
        const token = parseCompactToken(text);
        if (token === undefined) return;
        assert.notEqual(withBrokenSignature(token), token.text);
        assert.equal(parseCompactToken(withBrokenSignature(token))?.signature.equals(token.signature), false);
      },
    ),
    { seed: 1, numRuns: 2000 },
  );
});

test('only a Bearer header with three parts holds a token', () => {
  assert.equal(bearerJwt('bearer  a.b.c'), 'a.b.c');
  for (const header of [
    undefined,
    '',
    'Basic a.b.c',
    'Bearer a.b',
    'Bearer a.b.c.d',
    'Bearer a.b.c ',
    `Bearer ${'a'.repeat(13_000)}.b.c`,
  ])
    assert.equal(bearerJwt(header), undefined);
});
