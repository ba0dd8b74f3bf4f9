import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { type Logger, silentLogger } from '@sealift/core';
import { RuntimeTrust } from './runtime-trust.ts';

/** A trust that is written to a disk with these faults, one for each try. */
function setUp(t: TestContext, faults: string[]) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const seen: string[] = [];
  const done = new EventTarget();
  const log: Logger = { ...silentLogger, error: (event) => seen.push(event) };
  const options = {
    certsDirectory: '/certs.d',
    file: undefined,
    registries: [],
    interceptCa: { certificatePem: '' },
    log,
  };
  const trust = new RuntimeTrust(options, async () => {
    const code = faults.shift();
    // After the promise of the try has settled.
    setImmediate(() => done.dispatchEvent(new Event('tried')));
    if (code !== undefined) throw Object.assign(new Error(code), { code, syscall: 'open' });
    return async () => {
      seen.push('removed');
    };
  });
  t.after(() => trust.stop());
  /** Lets the pause go by and the next try be made. */
  const nextTry = async (): Promise<void> => {
    const tried = once(done, 'tried');
    t.mock.timers.tick(5_000);
    await tried;
  };
  return { trust, seen, nextTry };
}

test('a disk that takes no files keeps no node from starting: it is tried until it does, and complained of once', async (t) => {
  const { trust, seen, nextTry } = setUp(t, ['ENOSPC', 'EROFS']);
  await trust.start();
  assert.deepEqual([trust.isWritten, seen], [false, ['trust_failed']]);
  await nextTry();
  assert.equal(trust.isWritten, false);
  await nextTry();
  assert.deepEqual([trust.isWritten, seen], [true, ['trust_failed']]);
  await trust.stop();
  await trust.stop();
  assert.deepEqual([trust.isWritten, seen], [false, ['trust_failed', 'removed']]);
});

test('a directory that this user may not write to is a mistake to be told at once', async (t) => {
  const { trust } = setUp(t, ['EACCES']);
  await assert.rejects(trust.start(), { code: 'EACCES' });
});
