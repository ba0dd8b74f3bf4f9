import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseChallenge } from './auth-challenge.ts';

const accepted = [
  [
    'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
    {
      scheme: 'bearer',
      realm: 'https://auth.example/token',
      service: 'registry.example',
      scope: 'repository:a/b:pull,push',
    },
  ],
  ['bearer   REALM=x', { scheme: 'bearer', realm: 'x' }],
  ['Bearer realm = "a" , service = "b"', { scheme: 'bearer', realm: 'a', service: 'b' }],
  ['Bearer realm="a",error="invalid_token"', { scheme: 'bearer', realm: 'a' }],
  ['Bearer realm="say \\"hi\\", \\\\ twice"', { scheme: 'bearer', realm: 'say "hi", \\ twice' }],
  ['Basic realm="Registry"', { scheme: 'basic', realm: 'Registry' }],
  ['Basic', { scheme: 'basic' }],
  ['Basic realm="x", Bearer realm="https://a"', { scheme: 'bearer', realm: 'https://a' }],
  ['Bearer realm="https://a",service="s", Basic realm="x"', { scheme: 'bearer', realm: 'https://a', service: 's' }],
  ['Negotiate, Basic realm="x"', { scheme: 'basic', realm: 'x' }],
  ['Bearer, Basic realm="x"', { scheme: 'basic', realm: 'x' }],
] as const;

for (const [header, expected] of accepted) {
  test(`the challenge ${header} is understood`, () => {
    assert.deepEqual(parseChallenge(header), expected);
  });
}

test('a challenge that is not well-formed, or not of a known scheme, is none', () => {
  const refused = [
    '',
    'Negotiate',
    'Bearer',
    'Bearer service="x"',
    'Bearer realm=',
    'Bearer realm="x',
    'Bearer realm="x" service="y"',
    'Bearer realm="x",realm="y"',
    'Bearer realm="a\r\nb"',
    'realm="x"',
    '="x"',
    'Bearer realm="x";service="y"',
    `Bearer realm="${'x'.repeat(9000)}"`,
  ];
  for (const header of refused) assert.equal(parseChallenge(header), undefined, JSON.stringify(header));
});

test('whatever stands in quotes comes out as it was', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '"', '\\', ',', '=', ' ', 'é', 'Bearer'), maxLength: 30 });
  fc.assert(
    fc.property(text, text, (realm, service) => {
      const quote = (value: string): string => `"${value.replace(/["\\]/g, '\\$&')}"`;
      // Bytes above ASCII cannot be escaped, and need not be.
      const header = `Bearer realm=${quote(realm)},service=${quote(service)}`;
      assert.deepEqual(parseChallenge(header), { scheme: 'bearer', realm, service });
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('any text is a challenge or none, and takes no time', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', '"', '\\', ',', '=', ' ', '\t', 'Basic '), maxLength: 80 }),
      (text) => {
        parseChallenge(text);
      },
    ),
    { seed: 1, numRuns: 1000 },
  );
  const startedAt = performance.now();
  for (const part of ['a', '"', '\\', ',', '=', ' ', 'a=b,', 'a ', '\\"'])
    parseChallenge(`Bearer realm="${part.repeat(1_000_000)}`);
  for (const part of ['a', '"', '\\', ',', '=', ' ', 'a=b,', 'a ', '\\"'])
    parseChallenge(part.repeat(8192 / part.length));
  assert.ok(performance.now() - startedAt < 300);
});
