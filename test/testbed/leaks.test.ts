import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { findInDirectory, findInLog, findInProcess, formsOf } from './leaks.ts';

const PASSWORD = 'a-password-of-some-length';
let directory: string;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'sealift-leaks-'));
});
after(() => rm(directory, { recursive: true }));

test('a secret is found in each of its forms, also across the edge of a read', async () => {
  const needles = formsOf([PASSWORD], ['alice']);
  const basic = Buffer.from(`alice:${PASSWORD}`).toString('base64');
  for (const text of [PASSWORD, basic]) {
    for (const offset of [0, 1024 * 1024 - 5]) {
      await writeFile(path.join(directory, 'file'), `${'.'.repeat(offset)}${text}`);
      const leaks = await findInDirectory(directory, needles);
      assert.equal(leaks[0]?.where, path.join(directory, 'file'));
    }
  }
});

test('a log leaks whatever looks like a token, and an innocent one does not', async () => {
  const log = path.join(directory, 'log');
  await writeFile(log, '{"event":"started","text":"eyJhbGciOiJFUzI1NiJ9.e30.c2ln"}\n');
  assert.deepEqual(await findInLog(log, []), [{ where: log, what: 'eyJhbGciOi' }]);
  await writeFile(log, '{"event":"started"}\n');
  assert.deepEqual(await findInLog(log, formsOf([PASSWORD])), []);
});

test('a secret among the arguments of a process is found', async () => {
  const [argument = ''] = process.argv;
  assert.notDeepEqual(await findInProcess(process.pid, [argument]), []);
  assert.deepEqual(await findInProcess(process.pid, [`${argument} and what it does not say`]), []);
});
