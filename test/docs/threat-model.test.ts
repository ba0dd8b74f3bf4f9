import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';

const page = await readFile(new URL('../../docs/threat-model.md', import.meta.url), 'utf8');
const directory = new URL('../security/', import.meta.url);
const files = (await readdir(directory)).filter((name) => /^t-\d/.test(name)).sort();
/** Each threat with the lines below its heading. */
const threats = page
  .split(/^#### /m)
  .slice(1)
  .map((text) => ({ id: /^T-\d\d/.exec(text)?.[0] ?? text.slice(0, 20), text }));

test('each threat of docs/threat-model.md has its file, and each file its threat', () => {
  const linked = threats.map(({ text }) => /\(\.\.\/test\/security\/(t-[^)]+)\)/.exec(text)?.[1]).sort();
  assert.deepEqual(linked, files);
  for (const { id, text } of threats) assert.ok(text.includes(`/${id.toLowerCase()}-`), `${id} links to its own file`);
});

test('the numbers are unique and without a gap', () => {
  const numbers = threats.map(({ id }) => Number(id.slice(2))).sort((a, b) => a - b);
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index + 1),
  );
});

test('each threat says what the attacker does, what answers it and what remains', () => {
  for (const { id, text } of threats)
    for (const part of ['*Attack.*', '*Answer.*', '*Remains.*']) assert.ok(text.includes(part), `${id} ${part}`);
});

test('each file attacks under the number of its threat', async () => {
  for (const file of files) {
    const id = file.slice(0, 4).toUpperCase();
    const text = await readFile(new URL(file, directory), 'utf8');
    const names = [...text.matchAll(/^ {0,2}test\(\s*['`](?<name>[^'`]*)/gm)].map(
      ({ groups }) => groups?.['name'] ?? '',
    );
    assert.ok(names.length > 0, file);
    for (const name of names) assert.ok(name.startsWith(`${id}: `), `${file}: ${name}`);
  }
});
