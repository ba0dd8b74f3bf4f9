import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fileEnvironment, formatAssignment, unitEnvironment } from './systemd-environment.ts';

const rows = [
  ['two on a line, quoted whole', 'Environment="A=1 2" B=3', { A: '1 2', B: '3' }],
  ['single quotes', 'Environment=\'A=x "y"\'', { A: 'x "y"' }],
  ['a line that goes on', 'Environment="A=1" \\\n  "B=2"', { A: '1', B: '2' }],
  ['a comment', '#Environment=A=1\n; Environment=A=2', {}],
  ['the last one', 'Environment=A=1\nEnvironment=A=2', { A: '2' }],
  ['nothing after an empty line', 'Environment=A=1\nEnvironment=', {}],
  ['a percent sign', 'Environment=A=%%41', { A: '%41' }],
  ['an equals sign in a value', 'Environment=A=b=c', { A: 'b=c' }],
] as const;

for (const [what, lines, variables] of rows) {
  test(`of a unit is read: ${what}`, () => {
    assert.deepEqual(Object.fromEntries(unitEnvironment([`[Service]\n${lines}\n`]).variables), variables);
  });
}

test('only the section of the service counts, and of several units the last one counts most', () => {
  const { variables, files } = unitEnvironment([
    '[Unit]\nEnvironment=A=1\n[Service]\nEnvironment=B=1 C=1\nEnvironmentFile=-/etc/default/docker\n',
    '[Service]\nEnvironment=B=2\n',
  ]);
  assert.deepEqual([Object.fromEntries(variables), files], [{ B: '2', C: '1' }, ['/etc/default/docker']]);
});

test('what a unit starts is what it says after the last line that takes all back', () => {
  const units = [
    '[Service]\nExecStart=/usr/bin/dockerd -H fd://\n',
    '[Service]\nExecStart=\nExecStart=dockerd $OPTIONS\n',
  ];
  assert.deepEqual(unitEnvironment(units).commands, ['dockerd $OPTIONS']);
});

test('a file of assignments is read without its comments', () => {
  const text = '# x\n#export http_proxy="http://127.0.0.1:3128/"\nHTTPS_PROXY="http://p:1" \nDOCKER_OPTS=\'-a -b\'\n';
  assert.deepEqual(Object.fromEntries(fileEnvironment(text)), { HTTPS_PROXY: 'http://p:1', DOCKER_OPTS: '-a -b' });
});

test('what is written for systemd is read back', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab%"\'\\ =,.:') }), (value) => {
      const unit = `[Service]\n${formatAssignment('NAME', value)}\n`;
      assert.equal(unitEnvironment([unit]).variables.get('NAME'), value);
    }),
    { seed: 8 },
  );
});
