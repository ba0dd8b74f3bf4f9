import { isDeepStrictEqual } from 'node:util';
import {
  type BencodeInput,
  decodeExtendedHandshake,
  encodeBencode,
  encodeExtendedHandshake,
  MAX_EXTENDED_HANDSHAKE_LENGTH,
} from '@sealift/bittorrent';
import type { SeededRandom } from '../random.ts';
import { demand, type Target, textTokens, unlessRefused } from '../target.ts';
import { anyBencode } from './bencode.ts';

/** The dictionary of BEP 10 with our keys. */
export const extendedHandshakeTarget: Target = {
  name: 'extended-handshake',
  summary: 'the extended handshake (BEP 10)',
  maxLength: MAX_EXTENDED_HANDSHAKE_LENGTH + 100,
  tokens: textTokens(
    '1:m',
    '1:v',
    '4:reqq',
    '8:sl_grant',
    '7:sl_zone',
    '9:sl_hashesi1e',
    '8:sl_blocki32768e',
    'i0e',
    'i255e',
    '5:a.b.c',
    'd',
    'e',
  ),
  generate: anyExtendedHandshake,
  run: (input) => {
    const handshake = unlessRefused(['HANDSHAKE_INVALID'], () => decodeExtendedHandshake(input));
    if (handshake === undefined) return;
    // A version that is not UTF-8 grows when it is made into text, so it may no longer fit.
    const encoded = unlessRefused(['HANDSHAKE_INVALID'], () => encodeExtendedHandshake(handshake));
    if (encoded === undefined) return;
    const again = decodeExtendedHandshake(encoded);
    demand(isDeepStrictEqual(again, handshake), 'an extended handshake means the same after a round trip');
  },
};

/** Mostly a right one, with now and then something else in a place. */
export function anyExtendedHandshake(random: SeededRandom): Buffer {
  const entries = new Map<string, BencodeInput>();
  const put = (key: string, value: BencodeInput): void => {
    if (!random.oneIn(6)) entries.set(key, random.oneIn(12) ? anyBencode(random, 2) : value);
  };
  const names = ['sl_hashes', 'sl_progress', 'sl_fetching', 'ut_pex', 'ut_metadata'];
  put('m', new Map(names.slice(0, random.below(6)).map((name, at) => [name, random.oneIn(10) ? 0 : at + 1])));
  put('v', 'client 1.0'.slice(random.below(11)));
  put('reqq', random.length(70_000));
  put('sl_grant', ['head', 'claims', 'signature'].slice(random.below(2)).join('.'));
  put('sl_block', random.pick([16_384, 32_768, 524_288, 4_194_304, 100]));
  put('sl_zone', random.pick(['zone-a', 'b', 'Zone', '-', 'a'.repeat(64)]));
  if (random.oneIn(4)) put(random.bytes(4).toString('latin1'), anyBencode(random, 3));
  return encodeBencode(entries);
}
