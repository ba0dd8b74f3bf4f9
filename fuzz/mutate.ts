import type { SeededRandom } from './random.ts';

/** Numbers at which length fields break. */
const EDGES = [
  0, 1, 0x7f, 0x80, 0xff, 0x100, 0x3fff, 0x4000, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];

/** Changes `input` in one to eight places; never longer than `maxLength`. */
export function mutate(
  input: Uint8Array,
  {
    random,
    tokens,
    other,
    maxLength,
  }: {
    random: SeededRandom;
    tokens: readonly Uint8Array[];
    /** Another input to take parts from. */
    other: Uint8Array;
    maxLength: number;
  },
): Buffer {
  let bytes: Buffer = Buffer.from(input);
  for (let left = 1 + random.length(7); left > 0; left -= 1) bytes = mutateOnce(bytes, random, tokens, other);
  return bytes.length > maxLength ? bytes.subarray(0, maxLength) : bytes;
}

function mutateOnce(bytes: Buffer, random: SeededRandom, tokens: readonly Uint8Array[], other: Uint8Array): Buffer {
  const at = random.below(bytes.length + 1);
  switch (random.below(9)) {
    case 0:
      return withByte(bytes, at, (bytes[at] ?? 0) ^ (1 << random.below(8)));
    case 1:
      return withByte(bytes, at, random.below(256));
    case 2:
      return splice(bytes, at, random.length(16), Buffer.alloc(0));
    case 3:
      return splice(bytes, at, 0, random.bytes(random.length(16)));
    case 4:
      return tokens.length === 0 ? bytes : splice(bytes, at, random.length(4), random.pick(tokens));
    case 5: {
      // A stretch of the input once more, as often as not somewhere else.
      const from = random.below(bytes.length + 1);
      return splice(bytes, at, 0, bytes.subarray(from, from + random.length(64)));
    }
    case 6: {
      const from = random.below(other.length + 1);
      return splice(bytes, at, random.length(64), other.subarray(from, from + random.length(256)));
    }
    case 7:
      return withNumber(bytes, at, random);
    default:
      return bytes.subarray(0, at);
  }
}

function withByte(bytes: Buffer, at: number, value: number): Buffer {
  if (at >= bytes.length) return Buffer.concat([bytes, Buffer.of(value)]);
  bytes[at] = value;
  return bytes;
}

/** Writes an edge, or one beside it, over 1, 2 or 4 bytes. */
function withNumber(bytes: Buffer, at: number, random: SeededRandom): Buffer {
  const width = random.pick([1, 2, 4]);
  const value = (random.pick(EDGES) + random.pick([-1, 0, 0, 1])) >>> 0;
  const number = Buffer.alloc(4);
  number.writeUInt32BE(value);
  return splice(bytes, at, width, number.subarray(4 - width));
}

function splice(bytes: Buffer, at: number, removed: number, added: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(Math.min(bytes.length, at + removed))]);
}
