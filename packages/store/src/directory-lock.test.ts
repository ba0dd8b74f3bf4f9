import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { isAppError } from '@sealift/core';
import { DirectoryLock } from './directory-lock.ts';
import { inTemporaryDirectory } from './store-fixture.ts';

function heldBy(pid: number | undefined): (error: unknown) => boolean {
  return (error) => isAppError(error, 'STORE_LOCKED') && error.details['pid'] === pid;
}

/** A process that takes the lock, says so, and holds it until it is killed. */
const HOLDER = `
  const { DirectoryLock } = await import(${JSON.stringify(new URL('./directory-lock.ts', import.meta.url).href)});
  globalThis.lock = await DirectoryLock.acquire(process.argv[1]);
  console.log('held');
  setInterval(() => {}, 60_000);
`;

test(
  'another process is refused and learns who holds the lock; kill -9 frees it',
  inTemporaryDirectory(async (directory) => {
    const holder = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(holder.stdout, 'data');
      await assert.rejects(DirectoryLock.acquire(directory), heldBy(holder.pid));
    } finally {
      const ended = once(holder, 'exit');
      holder.kill('SIGKILL');
      await ended;
    }
    assert.equal(existsSync(join(directory, 'pid')), true);
    const lock = await DirectoryLock.acquire(directory);
    assert.equal(Number.parseInt(await readFile(join(directory, 'pid'), 'utf8'), 10), process.pid);
    await lock.release();
  }),
);

test(
  'a second holder in the same process is refused too',
  inTemporaryDirectory(async (directory) => {
    const lock = await DirectoryLock.acquire(directory);
    await assert.rejects(DirectoryLock.acquire(directory), heldBy(process.pid));
    await lock.release();
    await lock.release();
    await (await DirectoryLock.acquire(directory)).release();
    assert.equal(existsSync(join(directory, 'pid')), false);
  }),
);

test(
  'a pid file whose pid now belongs to another process is taken over',
  inTemporaryDirectory(async (directory) => {
    // Process 1 lives, but did not start at tick 99999999999.
    for (const text of ['1 99999999999\n', '1 -\n', '4194305 5\n', '', 'nonsense']) {
      await writeFile(join(directory, 'pid'), text);
      await (await DirectoryLock.acquire(directory)).release();
    }
  }),
);

test(
  'a pid file that names a live process is believed even where the kernel lock is free',
  inTemporaryDirectory(async (directory) => {
    const stat = await readFile('/proc/1/stat', 'utf8');
    const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    await writeFile(join(directory, 'pid'), `1 ${startTime}\n`);
    // In a container this test may be process 1 itself, and one does not lock oneself out.
    if (process.pid !== 1) await assert.rejects(DirectoryLock.acquire(directory), heldBy(1));
  }),
);

test(
  'a holder that was killed and whose parent has taken no notice holds nothing any more',
  inTemporaryDirectory(async (directory) => {
    // `sleep` did not start the child that it inherits, and waits for none.
    const parent = spawn('sh', ['-c', 'sleep 0.1 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const [said] = (await once(parent.stdout, 'data')) as [Buffer];
      const pid = Number.parseInt(said.toString(), 10);
      const fields = async () => (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ');
      while ((await fields())[0] !== 'Z') await setImmediate();
      await writeFile(join(directory, 'pid'), `${pid} ${(await fields())[19]}\n`);
      await (await DirectoryLock.acquire(directory)).release();
    } finally {
      parent.kill('SIGKILL');
    }
  }),
);

test(
  'of many that find a stale pid file at once, one takes it over',
  inTemporaryDirectory(async (directory) => {
    await writeFile(join(directory, 'pid'), '4194305 5\n');
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => DirectoryLock.acquire(directory)));
    const held = results.filter((result) => result.status === 'fulfilled');
    assert.equal(held.length, 1);
    await held[0]?.value.release();
  }),
);
