import { AppError } from '@sealift/core';
import {
  type BareType,
  checkBlockLength,
  MAX_BLOCK_LENGTH,
  MAX_FRAME_LENGTH,
  MESSAGE_ID,
  type Message,
  PIECE_HEADER_LENGTH,
} from './message.ts';

/** What a {@link MessageParser} calls, in the order of the wire. An exception of the sink leaves `push` unchanged. */
export interface MessageSink {
  /** A whole message. Its bytes are the receiver's to keep. */
  onMessage(message: Exclude<Message, { type: 'piece' }>): void;
  /** Where the bytes of this block go: a view of exactly `length` bytes; `undefined` discards them. */
  onPieceStart(index: number, begin: number, length: number): Uint8Array | undefined;
  /** The block is through; `stored` tells whether `onPieceStart` gave a place for it. */
  onPieceEnd(index: number, begin: number, length: number, stored: boolean): void;
}

/**
 * Frames with an id we do not know that one connection may send. A client with other extensions sends a few (`port`,
 * the hash requests of BEP 52); more is somebody who wastes our time.
 */
export const MAX_UNKNOWN_FRAMES = 256;

/**
 * Keep-alives without another message between them. At one a minute, more often than BEP 3 asks, this takes 45 days,
 * so only a flood reaches it.
 */
export const MAX_KEEP_ALIVES = 65_536;

/** Longest body of a piece message, in bytes: the longest frame of all. */
const MAX_PIECE_BODY_LENGTH = PIECE_HEADER_LENGTH - 4 + MAX_BLOCK_LENGTH;

/** Longest message of a fixed length, with its length prefix: request, cancel, reject. */
const MAX_HEAD_LENGTH = 17;

interface FixedFrame {
  /** Body with id, in bytes. */
  readonly length: number;
  read(head: Buffer): Exclude<Message, { type: 'piece' }>;
}

/** By id. Bitfield, piece and extended are not fixed, so they are not here. */
const FIXED_FRAMES: readonly (FixedFrame | undefined)[] = (() => {
  const frames: (FixedFrame | undefined)[] = [];
  for (const type of ['choke', 'unchoke', 'interested', 'not-interested', 'have-all', 'have-none'] as const) {
    const message = bare(type);
    frames[MESSAGE_ID[type]] = { length: 1, read: () => message };
  }
  for (const type of ['have', 'suggest', 'allowed-fast'] as const) {
    frames[MESSAGE_ID[type]] = { length: 5, read: (head) => ({ type, index: head.readUInt32BE(5) }) };
  }
  for (const type of ['request', 'cancel', 'reject'] as const) {
    frames[MESSAGE_ID[type]] = { length: 13, read: (head) => readRange(type, head) };
  }
  return frames;
})();

const KEEP_ALIVE = bare('keep-alive');

/**
 * Cuts a byte stream into messages, whatever the boundaries of its chunks. Blocks are copied once, from the chunk to the
 * place that the sink names; nothing else is joined, and no reference to a chunk is kept, so that the caller can reuse
 * its buffer. Holds at most one frame of {@link MAX_FRAME_LENGTH}, and nothing of a block.
 */
export class MessageParser {
  readonly #sink: MessageSink;
  /** The start of the present frame, with its length prefix, up to `#headNeed` bytes. */
  readonly #head = Buffer.alloc(MAX_HEAD_LENGTH);
  #headLength = 0;
  #headNeed = 4;
  /** What follows the id of a bitfield or extended message, while it comes in. */
  #body: Buffer | undefined;
  #bodyLength = 0;
  #block: Uint8Array | undefined;
  #blockIndex = 0;
  #blockBegin = 0;
  #blockLength = 0;
  #blockLeft = 0;
  #skipLeft = 0;
  #unknownFrames = 0;
  #keepAlives = 0;
  #isClosed = false;

  constructor(sink: MessageSink) {
    this.#sink = sink;
  }

  /**
   * Takes `bytes[start, end)`. Throws `FRAME_TOO_LONG` or `FRAME_INVALID`; the stream is lost then, and the parser closed.
   */
  push(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    const input = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = start;
    try {
      while (at < end && !this.#isClosed) {
        if (this.#blockLeft > 0) at = this.#takeBlock(input, at, end);
        else if (this.#body !== undefined) at = this.#takeBody(this.#body, input, at, end);
        else if (this.#skipLeft > 0) at = this.#skip(at, end);
        else at = this.#takeHead(input, at, end);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Ends parsing, even in the middle of a `push`: no call reaches the sink after this. Safe to call twice. */
  close(): void {
    this.#isClosed = true;
    this.#block = undefined;
    this.#body = undefined;
  }

  #takeHead(input: Buffer, at: number, end: number): number {
    // Nearly all bytes are blocks, and nearly all block headers lie whole in one chunk.
    if (this.#headLength === 0 && end - at >= PIECE_HEADER_LENGTH && input[at + 4] === MESSAGE_ID.piece) {
      this.#startBlock(input, at);
      return at + PIECE_HEADER_LENGTH;
    }
    const count = Math.min(this.#headNeed - this.#headLength, end - at);
    input.copy(this.#head, this.#headLength, at, at + count);
    this.#headLength += count;
    if (this.#headLength === this.#headNeed) this.#onHead();
    return at + count;
  }

  /** The head grows in steps: length prefix, id, then the rest of a message of fixed length. */
  #onHead(): void {
    if (this.#headLength === 4) this.#onLength(this.#head.readUInt32BE(0));
    else if (this.#headLength === 5) this.#onId(this.#head.readUInt32BE(0), this.#head.readUInt8(4));
    else if (this.#head[4] === MESSAGE_ID.piece) this.#startBlock(this.#head, 0);
    else this.#onFixedFrame();
  }

  #onLength(length: number): void {
    // Of a frame this long only a piece can be; the next byte tells.
    if (length > MAX_PIECE_BODY_LENGTH) throw new AppError('FRAME_TOO_LONG', { length });
    if (length > 0) {
      this.#headNeed = 5;
      return;
    }
    this.#endHead();
    this.#keepAlives += 1;
    if (this.#keepAlives > MAX_KEEP_ALIVES) throw new AppError('FRAME_INVALID', { reason: 'flood of keep-alives' });
    this.#sink.onMessage(KEEP_ALIVE);
  }

  #onId(length: number, id: number): void {
    this.#keepAlives = 0;
    if (length > MAX_FRAME_LENGTH && id !== MESSAGE_ID.piece) throw new AppError('FRAME_TOO_LONG', { length });
    const fixed = FIXED_FRAMES[id];
    if (fixed !== undefined) {
      if (length !== fixed.length) throw wrongLength(id, length);
      this.#headNeed = 4 + length;
      if (length === 1) this.#onFixedFrame();
    } else if (id === MESSAGE_ID.piece) {
      checkPieceLength(length);
      this.#headNeed = PIECE_HEADER_LENGTH;
    } else if (id === MESSAGE_ID.bitfield || id === MESSAGE_ID.extended) {
      // An extended message has at least its extension id, a bitfield at least one piece.
      if (length < 2) throw wrongLength(id, length);
      this.#endHead();
      this.#body = Buffer.allocUnsafe(length - 1);
      this.#bodyLength = 0;
    } else {
      this.#skipUnknown(length);
    }
  }

  #onFixedFrame(): void {
    const message = FIXED_FRAMES[this.#head.readUInt8(4)]?.read(this.#head);
    this.#endHead();
    if (message !== undefined) this.#sink.onMessage(message);
  }

  #startBlock(header: Buffer, offset: number): void {
    const bodyLength = header.readUInt32BE(offset);
    checkPieceLength(bodyLength);
    this.#endHead();
    this.#keepAlives = 0;
    this.#blockIndex = header.readUInt32BE(offset + 5);
    this.#blockBegin = header.readUInt32BE(offset + 9);
    this.#blockLength = bodyLength - (PIECE_HEADER_LENGTH - 4);
    this.#blockLeft = this.#blockLength;
    this.#block = this.#sink.onPieceStart(this.#blockIndex, this.#blockBegin, this.#blockLength);
    if (this.#block !== undefined && this.#block.length !== this.#blockLength) {
      throw new RangeError('a sink must give a view of the length of the block');
    }
  }

  #takeBlock(input: Buffer, at: number, end: number): number {
    const count = Math.min(this.#blockLeft, end - at);
    if (this.#block !== undefined) input.copy(this.#block, this.#blockLength - this.#blockLeft, at, at + count);
    this.#blockLeft -= count;
    if (this.#blockLeft === 0) {
      const isStored = this.#block !== undefined;
      this.#block = undefined;
      this.#sink.onPieceEnd(this.#blockIndex, this.#blockBegin, this.#blockLength, isStored);
    }
    return at + count;
  }

  #takeBody(body: Buffer, input: Buffer, at: number, end: number): number {
    const count = Math.min(body.length - this.#bodyLength, end - at);
    input.copy(body, this.#bodyLength, at, at + count);
    this.#bodyLength += count;
    if (this.#bodyLength === body.length) {
      this.#body = undefined;
      if (this.#head[4] === MESSAGE_ID.bitfield) this.#sink.onMessage({ type: 'bitfield', bytes: body });
      else this.#sink.onMessage({ type: 'extended', id: body.readUInt8(0), payload: body.subarray(1) });
    }
    return at + count;
  }

  #skipUnknown(length: number): void {
    this.#unknownFrames += 1;
    if (this.#unknownFrames > MAX_UNKNOWN_FRAMES) {
      throw new AppError('FRAME_INVALID', { reason: 'too many messages of unknown kinds' });
    }
    this.#endHead();
    this.#skipLeft = length - 1;
  }

  #skip(at: number, end: number): number {
    const count = Math.min(this.#skipLeft, end - at);
    this.#skipLeft -= count;
    return at + count;
  }

  #endHead(): void {
    this.#headLength = 0;
    this.#headNeed = 4;
  }
}

function bare(type: BareType): { readonly type: BareType } {
  return Object.freeze({ type });
}

function readRange(type: 'request' | 'cancel' | 'reject', head: Buffer): Exclude<Message, { type: 'piece' }> {
  const length = head.readUInt32BE(13);
  checkBlockLength(length);
  return { type, index: head.readUInt32BE(5), begin: head.readUInt32BE(9), length };
}

function checkPieceLength(bodyLength: number): void {
  if (bodyLength > MAX_PIECE_BODY_LENGTH) throw new AppError('FRAME_TOO_LONG', { length: bodyLength });
  checkBlockLength(bodyLength - (PIECE_HEADER_LENGTH - 4));
}

function wrongLength(id: number, length: number): AppError {
  return new AppError('FRAME_INVALID', { reason: 'body of a wrong length', id, length });
}
