import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import fc from 'fast-check';
import { parseConnectTarget } from './connect-target.ts';

const parse = (text: string) => parseConnectTarget(text, { maxLength: 259 });

const accepted = [
  ['registry.example:443', 'registry.example', 443, 'registry.example'],
  ['Registry.Example:5000', 'registry.example', 5000, 'registry.example:5000'],
  ['10.77.0.254:5000', '10.77.0.254', 5000, '10.77.0.254:5000'],
  ['[2001:DB8::1]:443', '2001:db8::1', 443, '[2001:db8::1]'],
  ['registry-1.docker.io:443', 'registry-1.docker.io', 443, 'docker.io'],
  ['index.docker.io:443', 'index.docker.io', 443, 'docker.io'],
] as const;

for (const [text, hostname, port, registry] of accepted) {
  test(`CONNECT ${text} leads to ${hostname}, port ${port}`, () => {
    assert.deepEqual(parse(text), { hostname, port, registry });
  });
}

const refused = [
  '',
  ':443',
  'registry.example',
  'registry.example:',
  'registry.example:0',
  'registry.example:65536',
  'registry.example:99999999999',
  'registry.example:443:443',
  'registry.example:-1',
  'registry.example:4e3',
  'user@registry.example:443',
  'user:pass@registry.example:443',
  '../../x:443',
  '../../../etc/passwd:443',
  '..:443',
  'a..b:443',
  '/:443',
  'registry.example:443/',
  'registry.example:443?x',
  'https://registry.example:443',
  '[::1:443',
  '::1:443',
  '[gggg::1]:443',
  '[127.0.0.1]:443',
  '[fe80::1%eth0]:443',
  'registry.example\t:443',
  'registry .example:443',
  'registry\0.example:443',
  '-registry.example:443',
  'rëgistry.example:443',
  '*:443',
  `${'a'.repeat(64)}.example:443`,
  `${'a.'.repeat(130)}example:443`,
  'a'.repeat(100_000),
];

for (const text of refused) {
  test(`CONNECT ${JSON.stringify(text.slice(0, 60))} is refused`, () => {
    assert.throws(() => parse(text), { code: 'CONNECT_TARGET_INVALID' });
  });
}

test('any text is a target or refused, and a target never holds a path', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        assert.match(parse(text).hostname, /^[a-z0-9._:-]+$/);
      } catch (error) {
        assert.ok(isAppError(error, 'CONNECT_TARGET_INVALID'));
      }
    }),
    { seed: 7 },
  );
});
