import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError } from '@sealift/core';
import { parseHostsFile } from './hosts-file.ts';

const plain = { certDir: undefined, nodeData: undefined };

test('a host to a line, with comments, default port and other spellings', () => {
  const text = '# all of them\nDocker-1.example\r\n\n192.0.2.7:12376 # far away\ntcp://[2001:db8::7]:2376\n';
  assert.deepEqual(parseHostsFile(text), [
    { name: 'docker-1.example:2376', host: 'docker-1.example', port: 2376, ...plain },
    { name: '192.0.2.7:12376', host: '192.0.2.7', port: 12376, ...plain },
    { name: '[2001:db8::7]:2376', host: '2001:db8::7', port: 2376, ...plain },
  ]);
});

test('a JSON array of hosts, each with what is its own', () => {
  const text = '\uFEFF ["a.example", { "host": "b.example:1", "certDir": "/etc/b", "nodeData": "/run/b" }]';
  assert.deepEqual(parseHostsFile(text), [
    { name: 'a.example:2376', host: 'a.example', port: 2376, ...plain },
    { name: 'b.example:1', host: 'b.example', port: 1, certDir: '/etc/b', nodeData: '/run/b' },
  ]);
});

test('every problem is told at once, with its line', () => {
  const problems = problemsOf('good.example\nbad host\nx:99999\nGOOD.example:2376\nssh://other\n-bad.example');
  assert.deepEqual(
    problems.map((line) => line.replace(/:.*/, '')),
    ['line 2', 'line 3', 'line 4', 'line 5', 'line 6'],
  );
  assert.match(problems[2] ?? '', /good\.example:2376 is there twice/);
});

test('every problem of a JSON file is told at once, with its place in the list', () => {
  const problems = problemsOf(
    '[1, {}, {"host": ""}, {"host": "a", "cert": "/x"}, {"host": "a", "certDir": 7}, [], "b"]',
  );
  assert.deepEqual(
    problems.map((line) => line.replace(/:.*/, '')),
    ['entry 1', 'entry 2', 'entry 3', 'entry 4', 'entry 5', 'entry 6'],
  );
});

test('a file without a host, broken JSON and far too many hosts are refused', () => {
  assert.deepEqual(problemsOf('# nobody\n'), ['it names no host']);
  assert.match(problemsOf('["a",')[0] ?? '', /^it is not JSON/);
  const many = Array.from({ length: 5_001 }, (_, index) => `h${index}.example`).join('\n');
  assert.deepEqual(problemsOf(many), ['it names more than 5000 hosts']);
});

test('a thousand problems fill no screen', () => {
  const problems = problemsOf('?\n'.repeat(1_000));
  assert.equal(problems.length, 51);
  assert.equal(problems.at(-1), 'and 950 more problems');
});

function problemsOf(text: string): string[] {
  try {
    parseHostsFile(text);
  } catch (error) {
    assert.ok(isAppError(error, 'CONFIG_INVALID'));
    return String(error.details['reason']).split('\n  --hosts: ').slice(1);
  }
  return assert.fail('it was taken');
}
