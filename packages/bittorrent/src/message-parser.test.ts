import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_LENGTH, isAppError } from '@sealift/core';
import fc from 'fast-check';
import { anyMessage, collectingParser, longestMessage, rawFrame } from './message.arbitrary.ts';
import {
  encodeMessage,
  encodePieceHeader,
  MAX_BLOCK_LENGTH,
  MAX_FRAME_LENGTH,
  MESSAGE_ID,
  type Message,
} from './message.ts';
import { MAX_KEEP_ALIVES, MAX_UNKNOWN_FRAMES, MessageParser } from './message-parser.ts';

test('the messages are the same wherever the stream is cut', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 12 }), cuts, (sent, lengths) => {
      const stream = Buffer.concat(sent.map(encodeMessage));
      const { parser, messages } = collectingParser();
      for (let at = 0, turn = 0; at < stream.length; turn += 1) {
        const end = Math.min(stream.length, at + (lengths[turn % lengths.length] ?? 1));
        parser.push(stream, at, end);
        at = end;
      }
      assert.deepEqual(messages, sent);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('a stream that comes byte by byte gives the same messages', () => {
  const sent: readonly Message[] = [
    { type: 'unchoke' },
    { type: 'piece', index: 1, begin: 16_384, block: Buffer.alloc(BLOCK_LENGTH, 3) },
    longestMessage,
    { type: 'have', index: 0xffff_ffff },
  ];
  const { parser, messages } = collectingParser();
  for (const byte of Buffer.concat(sent.map(encodeMessage))) parser.push(Uint8Array.of(byte));
  assert.deepEqual(messages, sent);
});

test('arbitrary bytes give messages or an AppError, and never another exception', () => {
  // Short lengths and known ids, or nearly every sample would die at its first length.
  const frame = fc
    .tuple(fc.integer({ min: 0, max: 24 }), fc.integer({ min: 0, max: 24 }), fc.uint8Array({ maxLength: 24 }))
    .map(([length, id, rest]) => rawFrame(length, id, ...rest));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(frame).map((all) => Buffer.concat(all)),
      ),
      (bytes) => {
        try {
          collectingParser().parser.push(bytes);
        } catch (error) {
          if (!isAppError(error, 'FRAME_INVALID') && !isAppError(error, 'FRAME_TOO_LONG')) throw error;
        }
      },
    ),
    { seed: 1, numRuns: 3000 },
  );
});

test('only the named range of a chunk is read', () => {
  const { parser, messages } = collectingParser();
  const chunk = Buffer.concat([Buffer.alloc(3, 0xff), encodeMessage({ type: 'choke' }), Buffer.alloc(3, 0xff)]);
  parser.push(chunk, 3, chunk.length - 3);
  assert.deepEqual(messages, [{ type: 'choke' }]);
});

test('a chunk can be overwritten as soon as it was pushed', () => {
  const { parser, messages } = collectingParser();
  const sent: readonly Message[] = [
    { type: 'bitfield', bytes: Buffer.from('a0ff', 'hex') },
    { type: 'extended', id: 2, payload: Buffer.from('payload') },
    { type: 'piece', index: 0, begin: 0, block: Buffer.from('block') },
  ];
  const chunk = Buffer.concat(sent.map(encodeMessage));
  parser.push(chunk);
  chunk.fill(0);
  assert.deepEqual(messages, sent);
});

test('a block lands in the place that the sink names, and the sink is told so', () => {
  const piece = Buffer.alloc(10);
  const ends: unknown[] = [];
  const parser = new MessageParser({
    onMessage: () => assert.fail('only a piece was sent'),
    onPieceStart: (_index, begin, length) => piece.subarray(begin, begin + length),
    onPieceEnd: (...end) => ends.push(end),
  });
  parser.push(encodeMessage({ type: 'piece', index: 9, begin: 4, block: Buffer.from('abc') }));
  assert.equal(piece.toString('latin1'), '\0\0\0\0abc\0\0\0');
  assert.deepEqual(ends, [[9, 4, 3, true]]);
});

test('a block without a place is discarded and the stream goes on', () => {
  const seen: unknown[] = [];
  const parser = new MessageParser({
    onMessage: (message) => seen.push(message.type),
    onPieceStart: () => undefined,
    onPieceEnd: (...end) => seen.push(end),
  });
  const piece = encodeMessage({ type: 'piece', index: 1, begin: 2, block: Buffer.alloc(BLOCK_LENGTH) });
  parser.push(Buffer.concat([piece, encodeMessage({ type: 'unchoke' })]));
  assert.deepEqual(seen, [[1, 2, BLOCK_LENGTH, false], 'unchoke']);
});

test('a place of a wrong length is the caller’s bug and not the peer’s fault', () => {
  const parser = new MessageParser({ onMessage() {}, onPieceStart: () => Buffer.alloc(2), onPieceEnd() {} });
  assert.throws(() => parser.push(encodePieceHeader(0, 0, 3)), RangeError);
});

test('a sink that closes the parser in the middle of a chunk hears no more of it', () => {
  const seen: string[] = [];
  const parser = new MessageParser({
    onMessage: (message) => {
      seen.push(message.type);
      parser.close();
    },
    onPieceStart: () => undefined,
    onPieceEnd() {},
  });
  parser.push(Buffer.concat([encodeMessage({ type: 'choke' }), encodeMessage({ type: 'unchoke' })]));
  parser.push(encodeMessage({ type: 'interested' }));
  assert.deepEqual(seen, ['choke']);
});

test('after a refused frame the parser is closed', () => {
  const { parser, messages } = collectingParser();
  assert.throws(() => parser.push(rawFrame(0xffff_ffff)), { code: 'FRAME_TOO_LONG' });
  parser.push(encodeMessage({ type: 'choke' }));
  assert.deepEqual(messages, []);
});

for (const length of [9 + MAX_BLOCK_LENGTH + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
  test(`a frame of ${length} bytes is refused at its length prefix`, () => {
    const { parser } = collectingParser();
    assert.throws(() => parser.push(rawFrame(length)), { code: 'FRAME_TOO_LONG', details: { length } });
  });
}

test('a frame that only a piece may have is refused for all others, before its body', () => {
  for (const id of [MESSAGE_ID.bitfield, MESSAGE_ID.extended, MESSAGE_ID.request, 99]) {
    const frame = rawFrame(MAX_FRAME_LENGTH + 1, id);
    const refused = { code: 'FRAME_TOO_LONG', details: { length: MAX_FRAME_LENGTH + 1 } };
    assert.throws(() => collectingParser().parser.push(frame), refused);
  }
});

test('a long block comes through, in chunks of any length', () => {
  const block = Buffer.alloc(MAX_BLOCK_LENGTH, 9);
  const bytes = encodeMessage({ type: 'piece', index: 1, begin: 0, block });
  for (const chunkLength of [16_384, 100_000, bytes.length]) {
    const { parser, messages } = collectingParser();
    for (let at = 0; at < bytes.length; at += chunkLength) parser.push(bytes.subarray(at, at + chunkLength));
    assert.deepEqual(messages, [{ type: 'piece', index: 1, begin: 0, block }]);
  }
});

test('a piece frame longer than a block is refused at its header, on both ways through the parser', () => {
  const frame = rawFrame(9 + MAX_BLOCK_LENGTH + 1, MESSAGE_ID.piece, 0, 0, 0, 0, 0, 0, 0, 0);
  assert.throws(() => collectingParser().parser.push(frame), { code: 'FRAME_TOO_LONG' });
  const { parser } = collectingParser();
  assert.throws(() => parser.push(frame, 0, 4), { code: 'FRAME_TOO_LONG' });
});

const wrongLengths: readonly (readonly [string, Buffer])[] = [
  ['choke with a body', rawFrame(2, MESSAGE_ID.choke, 0)],
  ['have all with a body', rawFrame(5, MESSAGE_ID['have-all'], 0, 0, 0, 0)],
  ['have without index', rawFrame(1, MESSAGE_ID.have)],
  ['have with a long index', rawFrame(6, MESSAGE_ID.have, 0, 0, 0, 0, 0)],
  ['request that is cut short', rawFrame(9, MESSAGE_ID.request, 0, 0, 0, 0, 0, 0, 0, 0)],
  ['reject with a tail', rawFrame(14, MESSAGE_ID.reject, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0)],
  ['piece without offset', rawFrame(5, MESSAGE_ID.piece, 0, 0, 0, 0, 0, 0, 0, 0)],
  ['piece without a byte', rawFrame(9, MESSAGE_ID.piece, 0, 0, 0, 0, 0, 0, 0, 0)],
  ['empty bitfield', rawFrame(1, MESSAGE_ID.bitfield)],
  ['extended message without its id', rawFrame(1, MESSAGE_ID.extended)],
];

for (const [what, frame] of wrongLengths) {
  test(`a ${what} is refused, whole or byte by byte`, () => {
    assert.throws(() => collectingParser().parser.push(frame), { code: 'FRAME_INVALID' });
    const { parser } = collectingParser();
    assert.throws(
      () => {
        for (const byte of frame) parser.push(Uint8Array.of(byte));
      },
      { code: 'FRAME_INVALID' },
    );
  });
}

for (const length of [0, MAX_BLOCK_LENGTH + 1, 0x8000_0000, 0xffff_ffff]) {
  test(`a request for ${length} bytes is refused`, () => {
    const frame = encodeMessage({ type: 'request', index: 0, begin: 0, length: 1 });
    frame.writeUInt32BE(length, 13);
    assert.throws(() => collectingParser().parser.push(frame), { code: 'FRAME_INVALID' });
  });
}

test('indexes beyond 2^31 stay positive', () => {
  const { parser, messages } = collectingParser();
  parser.push(rawFrame(5, MESSAGE_ID.have, 0x80, 0, 0, 1));
  assert.deepEqual(messages, [{ type: 'have', index: 0x8000_0001 }]);
});

test('messages of unknown kinds are skipped without being kept', () => {
  const { parser, messages } = collectingParser();
  // port (BEP 5), an id of BEP 52 with a long body, and one that nobody has defined.
  const unknown = [
    rawFrame(3, 9, 0x1a, 0xe1),
    rawFrame(MAX_FRAME_LENGTH, 22),
    Buffer.alloc(MAX_FRAME_LENGTH - 1),
    rawFrame(1, 255),
  ];
  parser.push(Buffer.concat([...unknown, encodeMessage({ type: 'interested' })]));
  assert.deepEqual(messages, [{ type: 'interested' }]);
});

test('more messages of unknown kinds than any honest client sends are refused', () => {
  const { parser } = collectingParser();
  const unknown = rawFrame(1, 99);
  for (let sent = 0; sent < MAX_UNKNOWN_FRAMES; sent += 1) parser.push(unknown);
  assert.throws(() => parser.push(unknown), { code: 'FRAME_INVALID' });
});

test('a flood of keep-alives is refused, and another message starts the count anew', () => {
  let keepAlives = 0;
  const parser = new MessageParser({
    onMessage: (message) => {
      if (message.type === 'keep-alive') keepAlives += 1;
    },
    onPieceStart: () => undefined,
    onPieceEnd() {},
  });
  const flood = Buffer.alloc(4 * MAX_KEEP_ALIVES);
  parser.push(flood);
  parser.push(encodeMessage({ type: 'choke' }));
  parser.push(flood);
  assert.throws(() => parser.push(flood), { code: 'FRAME_INVALID' });
  assert.equal(keepAlives, 2 * MAX_KEEP_ALIVES);
});
