import {
  decodeExtendedHandshake,
  decodeHandshake,
  EXTENSION,
  type ExtendedHandshake,
  HANDSHAKE_LENGTH,
  type Handshake,
  MAX_EXTENDED_HANDSHAKE_LENGTH,
} from '@sealift/bittorrent';
import { AppError, type SwarmId } from '@sealift/core';

/** Id of extended messages (BEP 10). */
const EXTENDED_MESSAGE_ID = 20;
/** Bytes before the payload of the extended handshake: handshake, frame length, message id, extension id. */
const FIXED_LENGTH = HANDSHAKE_LENGTH + 6;

/** What a peer says before anything else: handshake and extended handshake, in this order (docs/protocol.md). */
export interface Greeting {
  readonly handshake: Handshake;
  /** Absent where the handshake names a public swarm: stock clients wait for ours before they say more. */
  readonly extended: ExtendedHandshake | undefined;
  /** Bytes that came with it and belong to the messages after it. */
  readonly rest: Buffer;
}

/**
 * Collects the greeting of a peer from chunks of any size. Apart from the message parser, because nothing after the
 * greeting may be looked at before its grant is verified. Holds at most one greeting and one chunk.
 */
export class Preamble {
  #held: Buffer = Buffer.alloc(0);
  #handshake: Handshake | undefined;
  readonly #isPublic: (infoHash: SwarmId) => boolean;

  /** `isPublic`: whether a handshake with this info hash needs no grant. No such hash by default. */
  constructor({ isPublic = () => false }: { isPublic?: (infoHash: SwarmId) => boolean } = {}) {
    this.#isPublic = isPublic;
  }

  /**
   * Takes a chunk, which may be reused afterwards. Returns the greeting once it is whole; throws `HANDSHAKE_INVALID`,
   * `FRAME_TOO_LONG` or `PEER_PROTOCOL` as soon as it cannot become one.
   */
  push(chunk: Uint8Array): Greeting | undefined {
    this.#held = Buffer.concat([this.#held, chunk]);
    if (this.#held.length < HANDSHAKE_LENGTH) return undefined;
    this.#handshake ??= decodeHandshake(this.#held.subarray(0, HANDSHAKE_LENGTH));
    if (!this.#handshake.supportsExtended || !this.#handshake.supportsFast) {
      throw new AppError('HANDSHAKE_INVALID', { reason: 'without the extensions that Sealift needs' });
    }
    if (this.#isPublic(this.#handshake.swarmId)) {
      const bare = { handshake: this.#handshake, extended: undefined, rest: this.#held.subarray(HANDSHAKE_LENGTH) };
      this.#held = Buffer.alloc(0);
      return bare;
    }
    if (this.#held.length < HANDSHAKE_LENGTH + 4) return undefined;
    const length = this.#held.readUInt32BE(HANDSHAKE_LENGTH);
    if (length > MAX_EXTENDED_HANDSHAKE_LENGTH + 2) throw new AppError('FRAME_TOO_LONG', { length });
    if (this.#held.length < FIXED_LENGTH && length >= 2) return undefined;
    if (
      length < 2 ||
      this.#held[HANDSHAKE_LENGTH + 4] !== EXTENDED_MESSAGE_ID ||
      this.#held[HANDSHAKE_LENGTH + 5] !== EXTENSION.handshake
    ) {
      throw new AppError('PEER_PROTOCOL', { reason: 'something else before the grant' });
    }
    const end = HANDSHAKE_LENGTH + 4 + length;
    if (this.#held.length < end) return undefined;
    const greeting = {
      handshake: this.#handshake,
      extended: decodeExtendedHandshake(this.#held.subarray(FIXED_LENGTH, end)),
      rest: this.#held.subarray(end),
    };
    this.#held = Buffer.alloc(0);
    return greeting;
  }
}
