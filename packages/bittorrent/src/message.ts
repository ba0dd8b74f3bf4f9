import { AppError } from '@sealift/core';

/**
 * Longest frame body that is kept whole, in bytes: an extended message (id and extension id) with a hash batch of 1024
 * hashes. Any bitfield up to {@link MAX_PIECE_COUNT} pieces is shorter. A longer frame is a fault or an attack: it is
 * refused before a byte of it is kept. Only a piece message may be longer: its block is never kept by the parser.
 */
export const MAX_FRAME_LENGTH = 32_923;

/**
 * Longest block, in bytes, that one request may ask for, of a peer whose extended handshake says that it serves such ones.
 * One read and one write of the other side; a longer one saves nothing more. All other peers are asked for 16 KiB.
 */
export const MAX_BLOCK_LENGTH = 512 * 1024;

/** Most pieces a blob can have: one more and its bitfield would not fit a frame. */
export const MAX_PIECE_COUNT = (MAX_FRAME_LENGTH - 1) * 8;

/** Bytes before the block in a piece message: length, id, index, begin (BEP 3). */
export const PIECE_HEADER_LENGTH = 13;

/** Bytes of a request, cancel or reject: length, id, index, begin, length (BEP 3). */
const RANGE_FRAME_LENGTH = 17;

/** Wire ids (BEP 3, 6 and 10). */
export const MESSAGE_ID = {
  choke: 0,
  unchoke: 1,
  interested: 2,
  'not-interested': 3,
  have: 4,
  bitfield: 5,
  request: 6,
  piece: 7,
  cancel: 8,
  suggest: 13,
  'have-all': 14,
  'have-none': 15,
  reject: 16,
  'allowed-fast': 17,
  extended: 20,
} as const;

/** A range of one piece, in bytes: the unit of request, cancel and reject. */
export interface BlockRange {
  readonly index: number;
  readonly begin: number;
  readonly length: number;
}

/** Messages that are their id and nothing else; the keep-alive has not even that. */
export type BareType = 'keep-alive' | 'choke' | 'unchoke' | 'interested' | 'not-interested' | 'have-all' | 'have-none';

/** One message of the peer protocol after the handshake (BEP 3, 6 and 10). Indexes are unchecked: the session knows the blob. */
export type Message =
  | { readonly type: BareType }
  | { readonly type: 'have' | 'suggest' | 'allowed-fast'; readonly index: number }
  | { readonly type: 'bitfield'; readonly bytes: Uint8Array }
  | ({ readonly type: 'request' | 'cancel' | 'reject' } & BlockRange)
  | { readonly type: 'piece'; readonly index: number; readonly begin: number; readonly block: Uint8Array }
  | { readonly type: 'extended'; readonly id: number; readonly payload: Uint8Array };

/** Encodes one message; throws `FRAME_TOO_LONG` or `FRAME_INVALID` for what a receiver would refuse. */
export function encodeMessage(message: Message): Buffer {
  switch (message.type) {
    case 'keep-alive':
      return Buffer.alloc(4);
    case 'have':
    case 'suggest':
    case 'allowed-fast': {
      const frame = newFrame(MESSAGE_ID[message.type], 4);
      frame.writeUInt32BE(message.index, 5);
      return frame;
    }
    case 'request':
    case 'cancel':
    case 'reject':
      return encodeRange(MESSAGE_ID[message.type], message);
    case 'bitfield':
      if (message.bytes.length === 0) throw new AppError('FRAME_INVALID', { reason: 'empty bitfield' });
      return withTail(newFrame(MESSAGE_ID.bitfield, message.bytes.length), 5, message.bytes);
    case 'extended': {
      const frame = newFrame(MESSAGE_ID.extended, 1 + message.payload.length);
      frame.writeUInt8(message.id, 5);
      return withTail(frame, 6, message.payload);
    }
    case 'piece': {
      const { index, begin, block } = message;
      const frame = Buffer.allocUnsafe(PIECE_HEADER_LENGTH + block.length);
      writePieceHeader(frame, 0, { index, begin, length: block.length });
      return withTail(frame, PIECE_HEADER_LENGTH, block);
    }
    default:
      return newFrame(MESSAGE_ID[message.type], 0);
  }
}

/** Encodes requests for many blocks at once, into one buffer; throws as {@link encodeMessage}. */
export function encodeRequests(blocks: readonly BlockRange[]): Buffer {
  const frames = Buffer.allocUnsafe(blocks.length * RANGE_FRAME_LENGTH);
  let offset = 0;
  for (const block of blocks) {
    writeRange(frames, offset, MESSAGE_ID.request, block);
    offset += RANGE_FRAME_LENGTH;
  }
  return frames;
}

/** The 13 bytes that go before a block of `length` bytes, so that the block itself need not be copied. */
export function encodePieceHeader(index: number, begin: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(PIECE_HEADER_LENGTH);
  writePieceHeader(header, 0, { index, begin, length });
  return header;
}

/** Writes a piece header into a larger frame buffer whose blocks were read straight into place. */
export function writePieceHeader(into: Buffer, offset: number, { index, begin, length }: BlockRange): void {
  checkBlockLength(length);
  into.writeUInt32BE(PIECE_HEADER_LENGTH - 4 + length, offset);
  into.writeUInt8(MESSAGE_ID.piece, offset + 4);
  into.writeUInt32BE(index, offset + 5);
  into.writeUInt32BE(begin, offset + 9);
}

/** Throws `FRAME_INVALID` unless `length` is that of a block: 1 byte to {@link MAX_BLOCK_LENGTH}. */
export function checkBlockLength(length: number): void {
  if (length < 1 || length > MAX_BLOCK_LENGTH) {
    throw new AppError('FRAME_INVALID', { reason: 'block of a length that is never asked for', length });
  }
}

function encodeRange(id: number, block: BlockRange): Buffer {
  const frame = Buffer.allocUnsafe(RANGE_FRAME_LENGTH);
  writeRange(frame, 0, id, block);
  return frame;
}

function writeRange(into: Buffer, offset: number, id: number, { index, begin, length }: BlockRange): void {
  checkBlockLength(length);
  into.writeUInt32BE(RANGE_FRAME_LENGTH - 4, offset);
  into.writeUInt8(id, offset + 4);
  into.writeUInt32BE(index, offset + 5);
  into.writeUInt32BE(begin, offset + 9);
  into.writeUInt32BE(length, offset + 13);
}

function newFrame(id: number, restLength: number): Buffer {
  const length = 1 + restLength;
  if (length > MAX_FRAME_LENGTH) throw new AppError('FRAME_TOO_LONG', { length });
  const frame = Buffer.allocUnsafe(4 + length);
  frame.writeUInt32BE(length, 0);
  frame.writeUInt8(id, 4);
  return frame;
}

function withTail(frame: Buffer, offset: number, tail: Uint8Array): Buffer {
  frame.set(tail, offset);
  return frame;
}
