import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unifiedDiff } from './unified-diff.ts';

test('a change in the middle is shown with three lines around it, as diff -u does', () => {
  const lines = Array.from({ length: 9 }, (_, index) => `${index + 1}\n`);
  const changed = lines.with(4, 'five\nfive and a half\n');
  assert.equal(
    unifiedDiff('/etc/x', lines.join(''), changed.join('')),
    '--- /etc/x\n+++ /etc/x\n@@ -2,7 +2,8 @@\n 2\n 3\n 4\n-5\n+five\n+five and a half\n 6\n 7\n 8\n',
  );
});

test('a new file and one that goes are shown whole', () => {
  assert.equal(unifiedDiff('/x', undefined, 'a\nb\n'), '--- /dev/null\n+++ /x\n@@ -0,0 +1,2 @@\n+a\n+b\n');
  assert.equal(unifiedDiff('/x', 'a\n', undefined), '--- /x\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n');
  assert.equal(unifiedDiff('/x', 'a\n', 'a\n'), '');
});

test('a missing end of the last line is told', () => {
  const none = '\\ No newline at end of file\n';
  assert.equal(unifiedDiff('/x', 'a', 'a\nb\n'), `--- /x\n+++ /x\n@@ -1,1 +1,2 @@\n-a\n${none}+a\n+b\n`);
});

test('what looks like a credential is not shown', () => {
  const before =
    '[auth]\n  password = "hunter2"\n  "identitytoken": "hunter2"\nenv = ["MY_SECRET=hunter2"]\n' +
    '"https-proxy": "http://user:hunter2@proxy:1"\n';
  const shown = unifiedDiff('/x', before, `${before}new = 1\n`);
  assert.doesNotMatch(shown, /hunter2/);
  assert.match(shown, /^ "https-proxy": "http:\/\/…@proxy:1"$/m);
  assert.match(unifiedDiff('/x', 'password = "hunter2"\n', 'password = "hunter2"\nnew = 1\n'), /^ password = …$/m);
});
