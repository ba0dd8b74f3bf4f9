import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { authorizationExpiry, basicAuthorization, checkAuthorization } from './authorization.ts';

const SECRET = 'czNjcjN0LXZhbHVl';

/** A Bearer header with a JWT of these claims. */
function bearer(claims: unknown): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `Bearer ${part({ alg: 'ES256' })}.${part(claims)}.${SECRET}`;
}

test('a header of one line of printable ASCII can be sent', () => {
  for (const text of ['Bearer abc', 'Basic YTpi', 'x', bearer({ exp: 1 })])
    assert.equal(checkAuthorization(text), text);
});

test('a header that would be two, or none, is refused without being repeated', () => {
  const refused = [
    '',
    ' ',
    `Bearer ${SECRET}\r\nHost: evil.example`,
    `Bearer ${SECRET}\n`,
    `Bearer ${SECRET}\r`,
    `Bearer ${SECRET}\u0000`,
    ` Bearer ${SECRET}`,
    `Bearer ${SECRET} `,
    `Bearer\t${SECRET}`,
    `Bearer ${SECRET}é`,
    `Bearer ${SECRET.repeat(2000)}`,
  ];
  for (const text of refused) {
    assert.throws(
      () => checkAuthorization(text),
      (error: Error & { code?: string }) => error.code === 'AUTHORIZATION_INVALID' && !error.message.includes(SECRET),
      JSON.stringify(text.slice(0, 60)),
    );
  }
});

test('user name and password become a Basic header', () => {
  assert.equal(
    basicAuthorization({ username: 'Aladdin', password: 'open sesame' }),
    'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==',
  );
  assert.equal(basicAuthorization({ username: '', password: 'a:b' }), 'Basic OmE6Yg==');
});

test('a user name with a colon and control characters have no Basic header', () => {
  for (const [username, password] of [
    ['a:b', SECRET],
    ['a\n', SECRET],
    ['a', `${SECRET}\u0000`],
    ['a', SECRET.repeat(2000)],
  ] as const) {
    assert.throws(() => basicAuthorization({ username, password }), { code: 'AUTHORIZATION_INVALID' });
  }
});

test('the end of a JWT is its exp, in ms', () => {
  assert.equal(authorizationExpiry(bearer({ exp: 1_700_000_000 })), 1_700_000_000_000);
  assert.equal(authorizationExpiry(bearer({ exp: 1.5 }).replace('Bearer', 'bearer')), 1500);
  assert.equal(authorizationExpiry(bearer({ exp: 0 })), 0);
});

test('what is no JWT, or names no end, has none', () => {
  const none = [
    undefined,
    '',
    'Bearer opaque',
    'Bearer a.b.c',
    'Basic YTpi',
    bearer({}),
    bearer(null),
    bearer([1]),
    bearer('exp'),
    bearer({ exp: '1700000000' }),
    bearer({ exp: null }),
    bearer({ exp: 1e300 }),
    bearer({ exp: 1 }).replace('Bearer', 'Basic'),
    `${bearer({ exp: 1 })}.x`,
    `${bearer({ exp: 1 })}\n`,
    bearer({ exp: 1, pad: 'x'.repeat(20_000) }),
  ];
  for (const header of none) assert.equal(authorizationExpiry(header), undefined, header?.slice(0, 60));
});

test('any header has an end or none', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.jsonValue(), (text, claims) => {
      for (const header of [
        text,
        `Bearer ${text}`,
        `Bearer a.${Buffer.from(text).toString('base64url')}.c`,
        bearer(claims),
      ]) {
        const end = authorizationExpiry(header);
        assert.ok(end === undefined || Number.isSafeInteger(end));
      }
    }),
    { seed: 1, numRuns: 300 },
  );
});
