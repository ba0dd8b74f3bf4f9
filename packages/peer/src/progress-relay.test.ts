import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { type ContentVerifier, createContentSigner, signProgress } from '@sealift/bittorrent';
import { parseSwarmId } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import { ProgressRelay } from './progress-relay.ts';

const swarmId = parseSwarmId('ab'.repeat(20));
const signer = createContentSigner(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);

function scene({ isSigned = true } = {}) {
  const clock = new FakeClock();
  let checks = 0;
  const verify = () => {
    checks += 1;
    return isSigned;
  };
  const verifier: ContentVerifier = { verify };
  const relay = new ProgressRelay<{ name: string }>({ swarmId, verifier: () => verifier, clock });
  return { clock, relay, checks: () => checks };
}

const progress = (bytesRead: number): Buffer => signProgress({ swarmId, bytesRead }, signer);
const [alice, bob] = [{ name: 'alice' }, { name: 'bob' }];

test('progress is news once, and what is no news costs no signature check', () => {
  const { relay, checks } = scene();
  assert.deepEqual(
    [100, 100, 99, 101].map((bytes) => relay.take(progress(bytes), alice)),
    [true, false, false, true],
  );
  assert.equal(checks(), 2);
});

test('progress that the seeder did not sign is refused, and changes nothing', () => {
  const { relay } = scene({ isSigned: false });
  assert.throws(() => relay.take(progress(100), alice), { code: 'FRAME_INVALID' });
  assert.equal(relay.next(bob), undefined);
});

test('a peer is told what it does not know, at most once a second, and never what it told us', () => {
  const { relay, clock } = scene();
  relay.take(progress(100), alice);
  assert.equal(relay.next(alice), undefined);
  assert.deepEqual(relay.next(bob), progressOf(relay, 100));
  relay.take(progress(200), alice);
  assert.equal(relay.next(bob), undefined);
  clock.advance(1_000);
  assert.equal(relay.next(bob)?.readBigUInt64BE(92), 200n);
  clock.advance(1_000);
  assert.equal(relay.next(bob), undefined);
});

/** ECDSA signs differently each time: what is passed on must be the very bytes that came. */
function progressOf(relay: ProgressRelay<{ name: string }>, bytesRead: number): Buffer {
  const passedOn = relay.next({ name: 'carol' });
  assert.equal(passedOn?.readBigUInt64BE(92), BigInt(bytesRead));
  return passedOn;
}
