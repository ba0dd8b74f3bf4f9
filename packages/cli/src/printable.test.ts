import assert from 'node:assert/strict';
import { test } from 'node:test';
import { printable } from './printable.ts';

test('text of strangers is shown as it is, and gives no orders to a terminal', () => {
  assert.equal(printable('Ünïcode, 中文: "fine" 🙂'), 'Ünïcode, 中文: "fine" 🙂');
  assert.equal(
    printable('\u001b[2Jgone\r\nnext\u009b\u202e\u2028'),
    '\\u{1b}[2Jgone\\u{d}\\u{a}next\\u{9b}\\u{202e}\\u{2028}',
  );
});
