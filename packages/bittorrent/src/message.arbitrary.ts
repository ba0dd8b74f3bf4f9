import fc from 'fast-check';
import { MAX_BLOCK_LENGTH, MAX_FRAME_LENGTH, type Message } from './message.ts';
import { MessageParser } from './message-parser.ts';

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const blockLength = fc.integer({ min: 1, max: MAX_BLOCK_LENGTH });

function bytesOf(limits: { minLength: number; maxLength: number }): fc.Arbitrary<Buffer> {
  return fc.uint8Array(limits).map((bytes) => Buffer.from(bytes));
}

const anyRecord: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    type: fc.constantFrom(
      'keep-alive' as const,
      'choke' as const,
      'unchoke' as const,
      'interested' as const,
      'not-interested' as const,
      'have-all' as const,
      'have-none' as const,
    ),
  }),
  fc.record({ type: fc.constantFrom('have' as const, 'suggest' as const, 'allowed-fast' as const), index: uint32 }),
  fc.record({ type: fc.constant('bitfield' as const), bytes: bytesOf({ minLength: 1, maxLength: 40 }) }),
  fc.record({
    type: fc.constantFrom('request' as const, 'cancel' as const, 'reject' as const),
    index: uint32,
    begin: uint32,
    length: blockLength,
  }),
  fc.record({
    type: fc.constant('piece' as const),
    index: uint32,
    begin: uint32,
    block: bytesOf({ minLength: 1, maxLength: 60 }),
  }),
  fc.record({
    type: fc.constant('extended' as const),
    id: fc.integer({ min: 0, max: 255 }),
    payload: bytesOf({ minLength: 0, maxLength: 40 }),
  }),
);

/**
 * Any message that may cross the wire, for the properties of the codec; long bodies are left to examples. Copied because
 * records of fast-check have no prototype, which strict equality notices.
 */
export const anyMessage: fc.Arbitrary<Message> = anyRecord.map((message) => ({ ...message }));

/** A parser that keeps whole messages, blocks included. */
export function collectingParser(): { readonly parser: MessageParser; readonly messages: Message[] } {
  const messages: Message[] = [];
  let block = Buffer.alloc(0);
  const parser = new MessageParser({
    onMessage: (message) => messages.push(message),
    onPieceStart: (_index, _begin, length) => {
      block = Buffer.alloc(length);
      return block;
    },
    onPieceEnd: (index, begin) => messages.push({ type: 'piece', index, begin, block }),
  });
  return { parser, messages };
}

/** A frame with any length prefix, to be as hostile as the test likes. */
export function rawFrame(length: number, ...body: readonly number[]): Buffer {
  const frame = Buffer.alloc(4 + body.length);
  frame.writeUInt32BE(length, 0);
  frame.set(body, 4);
  return frame;
}

/** The longest extended message that is legal. */
export const longestMessage: Message = {
  type: 'extended',
  id: 1,
  payload: Buffer.alloc(MAX_FRAME_LENGTH - 2, 7),
};
