import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@sealift/testkit';
import { atPace, MIN_PACE_BYTES } from './registry-pace.ts';

/** A body of chunks of `length` bytes, each after `pauseMs`; tells when it was let go. */
async function* body(clock: FakeClock, length: number, pauseMs: number, state = { isOpen: true, sent: 0 }) {
  try {
    for (;;) {
      clock.advance(pauseMs);
      state.sent += length;
      yield new Uint8Array(length);
    }
  } finally {
    state.isOpen = false;
  }
}

test('a body that trickles is given up after a minute of waiting, and let go', async () => {
  const clock = new FakeClock();
  const state = { isOpen: true, sent: 0 };
  const started = clock.now();
  await assert.rejects(
    async () => {
      for await (const chunk of atPace(body(clock, 1, 29_000, state), { clock })) assert.equal(chunk.length, 1);
    },
    { code: 'REGISTRY_UNAVAILABLE' },
  );
  assert.ok(clock.now() - started < 120_000);
  assert.equal(state.isOpen, false);
});

test('a body that is slow, and fast enough, goes on', async () => {
  const clock = new FakeClock();
  let received = 0;
  for await (const chunk of atPace(body(clock, MIN_PACE_BYTES / 2, 29_000), { clock })) {
    received += chunk.length;
    if (received > 20 * MIN_PACE_BYTES) break;
  }
});

test('time that the reader takes is not held against the registry', async () => {
  const clock = new FakeClock();
  let count = 0;
  for await (const chunk of atPace(body(clock, 10, 1), { clock })) {
    assert.equal(chunk.length, 10);
    clock.advance(3_600_000);
    count += 1;
    if (count > 100) break;
  }
});
