import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TlsOptions } from 'node:tls';
import { type Logger, silentLogger } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import type { Authority } from './authority.ts';
import { TrackerLeaf } from './tracker-leaf.ts';

const HOUR_MS = 3_600_000;

/** An authority that numbers its leaves, or fails. */
function fakeAuthority(clock: FakeClock, next: () => string): Pick<Authority, 'issueTrackerLeaf'> {
  return {
    issueTrackerLeaf: async () => {
      const certificatePem = next();
      return {
        tls: { trustAnchors: '', chain: '', certificatePem, privateKeyPem: '' },
        notAfter: clock.now() + 3 * HOUR_MS,
      };
    },
  };
}

test('the leaf is replaced after two thirds of its life, again after a failure, and when it is told to', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const clock = new FakeClock();
  const answers = ['first', 'second', undefined, 'third', 'fourth'];
  const authority = fakeAuthority(clock, () => {
    const answer = answers.shift();
    if (answer === undefined) throw new Error('no entropy');
    return answer;
  });
  let happened: (what: string) => void = () => {};
  const next = () => new Promise<string>((resolve) => (happened = resolve));
  const server = { setSecureContext: (options: TlsOptions) => happened(String(options.cert).trim()) };
  const log: Logger = { ...silentLogger, error: (event) => happened(event) };
  const leaf = new TrackerLeaf({ authority, names: { dnsNames: [], ipAddresses: [] }, clock, log });
  assert.equal((await leaf.issue()).certificatePem, 'first');
  leaf.keepAlive(server);
  const renewed = next();
  t.mock.timers.tick(2 * HOUR_MS);
  assert.equal(await renewed, 'second');
  await new Promise((resolve) => setImmediate(resolve));
  const failed = next();
  t.mock.timers.tick(2 * HOUR_MS);
  assert.equal(await failed, 'certificate_renewal_failed');
  await new Promise((resolve) => setImmediate(resolve));
  const retried = next();
  t.mock.timers.tick(60_000);
  assert.equal(await retried, 'third');
  await new Promise((resolve) => setImmediate(resolve));
  const replaced = next();
  leaf.replace();
  t.mock.timers.tick(0);
  assert.equal(await replaced, 'fourth');
  await new Promise((resolve) => setImmediate(resolve));
  leaf.stop();
});
