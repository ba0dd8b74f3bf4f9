import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_LENGTH } from '@sealift/core';
import fc from 'fast-check';
import { anyMessage, collectingParser, longestMessage } from './message.arbitrary.ts';
import {
  encodeMessage,
  encodePieceHeader,
  encodeRequests,
  MAX_BLOCK_LENGTH,
  MAX_FRAME_LENGTH,
  type Message,
  writePieceHeader,
} from './message.ts';

test('each message decodes to itself', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const { parser, messages } = collectingParser();
      parser.push(encodeMessage(message));
      assert.deepEqual(messages, [message]);
    }),
    { seed: 1, numRuns: 1000 },
  );
});

test('the longest hash batch fits a frame, and one byte more does not', () => {
  assert.equal(encodeMessage(longestMessage).length, 4 + MAX_FRAME_LENGTH);
  const payload = Buffer.alloc(MAX_FRAME_LENGTH - 1);
  assert.throws(() => encodeMessage({ type: 'extended', id: 1, payload }), { code: 'FRAME_TOO_LONG' });
});

test('a piece header with its block is the piece message', () => {
  const block = Buffer.alloc(BLOCK_LENGTH, 5);
  const whole = encodeMessage({ type: 'piece', index: 7, begin: 32_768, block });
  assert.deepEqual(Buffer.concat([encodePieceHeader(7, 32_768, block.length), block]), whole);
});

test('a piece header is written in place between the blocks of a larger buffer', () => {
  const buffer = Buffer.alloc(40, 0xee);
  writePieceHeader(buffer, 10, { index: 1, begin: 2, length: 3 });
  assert.deepEqual(buffer.subarray(10, 23), encodePieceHeader(1, 2, 3));
  assert.deepEqual([buffer[9], buffer[23]], [0xee, 0xee]);
});

const unsendable: readonly [string, Message][] = [
  ['a request for nothing', { type: 'request', index: 0, begin: 0, length: 0 }],
  ['a request for more than a block', { type: 'request', index: 0, begin: 0, length: MAX_BLOCK_LENGTH + 1 }],
  ['a piece without bytes', { type: 'piece', index: 0, begin: 0, block: Buffer.alloc(0) }],
  ['a piece longer than a block', { type: 'piece', index: 0, begin: 0, block: Buffer.alloc(MAX_BLOCK_LENGTH + 1) }],
  ['an empty bitfield', { type: 'bitfield', bytes: Buffer.alloc(0) }],
];

for (const [what, message] of unsendable) {
  test(`${what} is not encoded`, () => {
    assert.throws(() => encodeMessage(message), { code: 'FRAME_INVALID' });
  });
}

test('requests encoded together are the bytes of each request, one after another', () => {
  const blocks = [0, 1, 2].map((at) => ({ index: 7, begin: at * 16_384, length: 16_384 - at }));
  const each = blocks.map((block) => encodeMessage({ type: 'request', ...block }));
  assert.deepEqual(encodeRequests(blocks), Buffer.concat(each));
  assert.throws(() => encodeRequests([{ index: 0, begin: 0, length: MAX_BLOCK_LENGTH + 1 }]), {
    code: 'FRAME_INVALID',
  });
});
