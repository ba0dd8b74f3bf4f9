import { type BencodeInput, decodeBencode, encodeBencode } from '@sealift/bittorrent';
import type { SeededRandom } from '../random.ts';
import { demand, type Target, textTokens, unlessRefused } from '../target.ts';

const MAX_LENGTH = 9_000;

/** Bencode as such: what decodes encodes to the same bytes, since only the canonical form is taken. */
export const bencodeTarget: Target = {
  name: 'bencode',
  summary: 'bencode of announces and extended handshakes',
  maxLength: MAX_LENGTH,
  tokens: textTokens('i0e', 'i-1e', 'i-0e', 'le', 'de', 'd', 'l', 'e', '1:a', '0:', '9007199254740991', ':', 'i'),
  generate: (random) => encodeBencode(anyBencode(random, 4)),
  run: (input) => {
    const value = unlessRefused(['BENCODE_INVALID'], () => decodeBencode(input));
    if (value !== undefined) demand(encodeBencode(value).equals(input), 'what decodes encodes to the same bytes');
  },
};

/** Any value, nested at most `depth` deep. */
export function anyBencode(random: SeededRandom, depth: number): BencodeInput {
  switch (random.below(depth > 0 ? 5 : 3)) {
    case 0:
      return (random.oneIn(2) ? 1 : -1) * random.length(2 ** 31);
    case 1:
      return random.bytes(random.length(40));
    case 2:
      return 'spam'.slice(random.below(5));
    case 3:
      return Array.from({ length: random.length(6) }, () => anyBencode(random, depth - 1));
    default:
      return new Map(
        Array.from({ length: random.length(6) }, () => [
          random.bytes(random.length(8)).toString('latin1'),
          anyBencode(random, depth - 1),
        ]),
      );
  }
}
