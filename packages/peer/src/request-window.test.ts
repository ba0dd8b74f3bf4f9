import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_LENGTH } from '@sealift/core';
import { RequestWindow } from './request-window.ts';

const MIN = 16 * BLOCK_LENGTH;
const MAX = 4 * 1024 * 1024;

/** A link that delivers `bytesPerMs` after `delayMs`, asked for as much as the window says. */
function windowAfter(link: Parameters<typeof after>[0]): number {
  return after(link).bytes;
}

function after({
  bytesPerMs,
  delayMs,
  blocks,
}: {
  bytesPerMs: number;
  delayMs: number;
  blocks: number;
}): RequestWindow {
  let now = 0;
  const window = new RequestWindow({ clock: { now: () => Math.floor(now) }, minBytes: MIN, maxBytes: MAX });
  const inFlight: number[] = [];
  let linkFreeAt = 0;
  for (let received = 0; received < blocks; received += 1) {
    while (inFlight.length * BLOCK_LENGTH < window.bytes) inFlight.push(now);
    const requestedAt = inFlight.shift() ?? 0;
    linkFreeAt = Math.max(linkFreeAt, requestedAt + delayMs) + BLOCK_LENGTH / bytesPerMs;
    now = Math.max(now, linkFreeAt);
    window.received(BLOCK_LENGTH, Math.floor(requestedAt));
  }
  return window;
}

test('a slow peer keeps the smallest window', () => {
  assert.equal(windowAfter({ bytesPerMs: 1_000, delayMs: 1, blocks: 500 }), MIN);
});

test('a fast peer far away gets the largest window', () => {
  assert.equal(windowAfter({ bytesPerMs: 125_000, delayMs: 50, blocks: 20_000 }), MAX);
});

test('the window settles near two round trips of a link in between', () => {
  const bytes = windowAfter({ bytesPerMs: 12_500, delayMs: 40, blocks: 20_000 });
  assert.ok(bytes >= 12_500 * 40 && bytes <= 12_500 * 40 * 3, `${bytes} bytes`);
});

test('a window is a whole number of blocks', () => {
  assert.equal(windowAfter({ bytesPerMs: 20_000, delayMs: 17, blocks: 1_000 }) % BLOCK_LENGTH, 0);
});

test('blocks are long where they take no time, and short on slow links', () => {
  const lengthAt = (bytesPerMs: number): number =>
    after({ bytesPerMs, delayMs: 1, blocks: 500 }).blockLength(MAX) / BLOCK_LENGTH;
  assert.deepEqual([100, 1_000, 3_000, 12_500].map(lengthAt), [1, 1, 2, 8]);
  const fast = after({ bytesPerMs: 1_000_000, delayMs: 0, blocks: 5_000 });
  assert.equal(fast.blockLength(8 * BLOCK_LENGTH), 8 * BLOCK_LENGTH);
  assert.equal(fast.blockLength(7 * BLOCK_LENGTH), 4 * BLOCK_LENGTH);
  assert.equal(fast.blockLength(1), BLOCK_LENGTH);
});
