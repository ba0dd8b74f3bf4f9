import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseRequestTarget, splitNamespace } from './request-target.ts';

test('a path is kept as it came', () => {
  const path = '/v2/a%2Fb//blobs/x?_state=%7B%7D&b=+';
  assert.deepEqual(parseRequestTarget(path), { kind: 'origin', path });
});

test('a whole address is taken apart', () => {
  assert.deepEqual(parseRequestTarget('http://Mirror.Example:8080/a?b'), {
    kind: 'absolute',
    scheme: 'http',
    authority: 'Mirror.Example:8080',
    hostname: 'mirror.example',
    port: 8080,
    path: '/a?b',
  });
});

const ports = [
  ['http://a.example', 80, '/'],
  ['http://a.example:443/', 443, '/'],
  ['HTTPS://a.example?x', 443, '/?x'],
  ['http://[::1]:81/', 81, '/'],
] as const;

for (const [target, port, path] of ports) {
  test(`${target} leads to port ${port} and path ${path}`, () => {
    const parsed = parseRequestTarget(target);
    assert.ok(parsed.kind === 'absolute');
    assert.deepEqual([parsed.port, parsed.path], [port, path]);
  });
}

const others = ['*', '', 'a.example:443', 'ftp://a.example/', 'http://', 'http:///x', 'http://u:p@a.example/', '/a#b'];

for (const target of [...others, 'http://a.example/#b', 'http://a.example:0/', 'http://a b/']) {
  test(`the target ${JSON.stringify(target)} is not taken`, () => {
    assert.deepEqual(parseRequestTarget(target), { kind: 'other' });
  });
}

test('the registry of a mirror request is taken out of its query, and nothing else is', () => {
  const split = (path: string) => splitNamespace(path);
  assert.deepEqual(split('/v2/?ns=r.example%3A5000'), { ns: 'r.example:5000', path: '/v2/' });
  assert.deepEqual(split('/v2/a?x=1&ns=r.example&y=%20'), { ns: 'r.example', path: '/v2/a?x=1&y=%20' });
  assert.deepEqual(split('/v2/a?x=1'), { ns: undefined, path: '/v2/a?x=1' });
  assert.deepEqual(split('/v2/a'), { ns: undefined, path: '/v2/a' });
  assert.equal(split('/v2/a?ns=%zz'), undefined);
  assert.equal(split('/v2/a?ns=r.example&ns=s.example'), undefined);
});

test('any text can be sorted', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      parseRequestTarget(text);
      parseRequestTarget(`http://${text}`);
      splitNamespace(`/v2/?${text}`);
    }),
    { seed: 7 },
  );
});
