import { setImmediate } from 'node:timers/promises';
import {
  encodeExtendedHandshake,
  encodeHandshake,
  encodeMessage,
  type Message,
  OWN_EXTENSION_MESSAGES,
  peerIdOf,
} from '@sealift/bittorrent';
import { BLOCK_LENGTH, blockCount, pieceSize } from '@sealift/core';
import type { SeededRandom } from '../random.ts';
import { type Target, textTokens } from '../target.ts';
import { anyExtendedHandshake } from './extended-handshake.ts';
import { GOOD_GRANT, geometry, publicInfoHash, REMOTE, swarmId, WireScene } from './wire-scene.ts';

/** Bits of the first byte of an input: what stands around the stream that follows the second byte. */
const IS_GREETED = 1;
const IS_DIALER = 2;
const IS_UNCHOKED = 4;
const IS_ASKING = 8;
const IS_SLOW = 16;
const HEADER_LENGTH = 2;

const greeting = Buffer.concat([
  encodeHandshake({ swarmId, peerId: peerIdOf(REMOTE.id), supportsExtended: true, supportsFast: true }),
  extended(
    encodeExtendedHandshake({
      messages: OWN_EXTENSION_MESSAGES,
      requestQueue: 64,
      blockLength: 4 * BLOCK_LENGTH,
      grant: GOOD_GRANT,
    }),
  ),
]);

/** A connection as the engine makes it, accepted or dialled, with the stream of a stranger in chunks of any size. */
export const wireTarget: Target = {
  name: 'wire',
  summary: 'the peer protocol: greeting, session and messages of a real connection',
  maxLength: 200_000,
  tokens: [
    greeting,
    ...Array.from({ length: 22 }, (_, id) => Buffer.from([0, 0, 0, 1, id])),
    ...[4, 13, 17].map((id) => Buffer.from([0, 0, 0, 5, id, 0, 0, 0, 1])),
    encodeMessage({ type: 'request', index: 0, begin: 0, length: BLOCK_LENGTH }),
    Buffer.from([0, 0, 0, 2, 20, 0]),
    ...textTokens('\x13BitTorrent protocol', GOOD_GRANT),
  ],
  generate: (random) => {
    const flags = random.oneIn(4) ? random.below(32) : IS_GREETED | random.below(32);
    const start = (flags & IS_GREETED) === 0 ? anyGreeting(random) : Buffer.alloc(0);
    const messages = anyTalk(random);
    return Buffer.concat([Buffer.of(flags, random.below(256)), start, ...messages]);
  },
  run: async (input) => {
    const [flags = 0, chunking = 0] = input;
    const scene = new WireScene({
      isDialer: (flags & IS_DIALER) !== 0,
      isUnchoking: (flags & IS_UNCHOKED) !== 0,
      isAsking: (flags & IS_ASKING) !== 0,
    });
    try {
      if ((flags & IS_GREETED) !== 0) {
        scene.receive(greeting);
        await setImmediate();
      }
      let at = HEADER_LENGTH;
      for (const length of chunkLengths(input.length - HEADER_LENGTH, chunking)) {
        // A copy, and scribbled over afterwards: the socket's buffer is used again at once.
        const chunk = Buffer.from(input.subarray(at, at + length));
        scene.receive(chunk);
        chunk.fill(0x55);
        at += length;
        if ((flags & IS_SLOW) !== 0) await setImmediate();
      }
      await setImmediate();
    } finally {
      scene.end();
    }
    scene.check();
  },
};

/** At most 64 chunks, by one byte of the input. */
function* chunkLengths(total: number, chunking: number): Iterable<number> {
  const size = Math.max(chunking < 128 ? total : chunking - 127, Math.ceil(total / 64));
  for (let at = 0; at < total; at += size) yield Math.min(size, total - at);
}

/** The bare greeting of a stock client; where nothing is open under the info hash it waits in vain. */
function publicGreeting(random: SeededRandom): Buffer {
  const peerId = Buffer.from('-LT2080-abcdefghijkl');
  return encodeHandshake({ swarmId: publicInfoHash, peerId, supportsExtended: true, supportsFast: !random.oneIn(8) });
}

function anyGreeting(random: SeededRandom): Buffer {
  if (random.oneIn(3)) return publicGreeting(random);
  const handshake = encodeHandshake({
    swarmId,
    peerId: random.oneIn(6) ? random.bytes(20) : peerIdOf(REMOTE.id),
    supportsExtended: !random.oneIn(8),
    supportsFast: !random.oneIn(8),
  });
  const dictionary = random.oneIn(3) ? anyExtendedHandshake(random) : greeting.subarray(74);
  return Buffer.concat([handshake, extended(dictionary)]);
}

function extended(payload: Buffer): Buffer {
  return encodeMessage({ type: 'extended', id: 0, payload });
}

/** Mostly what an honest peer says, in its order, so that an input gets beyond the first rule; now and then a breach. */
function anyTalk(random: SeededRandom): Buffer[] {
  const first: Message = random.oneIn(3)
    ? { type: 'bitfield', bytes: Buffer.of(random.below(16) << 4) }
    : { type: random.pick(['have-all', 'have-none'] as const) };
  const talk = random.oneIn(8) ? [] : [encodeMessage(first)];
  const breaches = random.oneIn(3) ? 3 : 40;
  for (let left = random.length(40); left > 0; left -= 1) {
    talk.push(random.oneIn(breaches) ? anyFrame(random) : encodeMessage(anyHonestMessage(random)));
  }
  return talk;
}

function anyHonestMessage(random: SeededRandom): Message {
  const index = random.below(geometry.pieceCount);
  const blocks = blockCount(geometry, index);
  const begin = random.below(blocks) * BLOCK_LENGTH;
  const most = random.oneIn(3) ? 4 * BLOCK_LENGTH : BLOCK_LENGTH;
  const length = Math.min(most, pieceSize(geometry, index) - begin);
  switch (random.below(7)) {
    case 0:
      return { type: random.pick(['choke', 'unchoke', 'interested', 'not-interested', 'keep-alive'] as const) };
    case 1:
      return { type: 'have', index };
    case 2:
      return { type: 'cancel', index, begin, length };
    case 3:
      // Those that the scene asks for.
      return random.oneIn(2)
        ? { type: 'piece', index: 0, begin: random.below(3) * BLOCK_LENGTH, block: Buffer.alloc(BLOCK_LENGTH, 3) }
        : { type: 'reject', index: 0, begin: random.below(3) * BLOCK_LENGTH, length: BLOCK_LENGTH };
    case 4:
      return { type: 'extended', id: 3, payload: Buffer.from([0, 0, 0, index]) };
    default:
      return { type: 'request', index, begin, length };
  }
}

function anyFrame(random: SeededRandom): Buffer {
  if (random.oneIn(4)) {
    // A message of a kind that we know with a body of any length.
    const body = Buffer.concat([Buffer.of(random.below(22)), random.bytes(random.length(20))]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    return Buffer.concat([length, body]);
  }
  if (random.oneIn(10)) {
    const body = random.bytes(random.length(40));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(random.oneIn(3) ? random.next() : body.length);
    return Buffer.concat([length, body]);
  }
  return encodeMessage(anyMessage(random));
}

function anyMessage(random: SeededRandom): Message {
  const index = random.oneIn(8) ? random.next() : random.below(geometry.pieceCount + 1);
  const begin = random.oneIn(8) ? random.next() : random.below(5) * BLOCK_LENGTH;
  const length = random.oneIn(4) ? 1 + random.below(BLOCK_LENGTH) : BLOCK_LENGTH;
  switch (random.below(10)) {
    case 0:
      return { type: random.pick(['have-all', 'have-none', 'keep-alive'] as const) };
    case 1:
      return { type: random.pick(['choke', 'unchoke', 'interested', 'not-interested'] as const) };
    case 2:
      return { type: random.pick(['have', 'suggest', 'allowed-fast'] as const), index };
    case 3:
      return { type: 'bitfield', bytes: random.bytes(1 + random.below(2)) };
    case 4:
    case 5:
      return { type: random.pick(['request', 'cancel', 'reject'] as const), index, begin, length };
    case 6:
      return { type: 'piece', index, begin, block: Buffer.alloc(length, 3) };
    case 7:
      return { type: 'extended', id: 0, payload: anyExtendedHandshake(random) };
    default:
      return { type: 'extended', id: random.below(5), payload: random.bytes(random.pick([0, 4, 8, 100, 153, 185])) };
  }
}
