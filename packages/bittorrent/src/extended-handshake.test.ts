import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError, parseZone } from '@sealift/core';
import fc from 'fast-check';
import { type BencodeInput, encodeBencode } from './bencode.ts';
import {
  decodeExtendedHandshake,
  type ExtendedHandshake,
  encodeExtendedHandshake,
  MAX_EXTENDED_HANDSHAKE_LENGTH,
  MAX_GRANT_LENGTH,
  MAX_REGISTRY_TOKEN_LENGTH,
  OWN_EXTENSION_MESSAGES,
} from './extended-handshake.ts';

const GRANT = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJub2RlLTEifQ.c2lnbmF0dXJl';

const anyHandshake: fc.Arbitrary<ExtendedHandshake> = fc
  .tuple(
    fc.uniqueArray(fc.string({ unit: 'grapheme-ascii', maxLength: 10 }), { maxLength: 8 }),
    fc.record(
      {
        version: fc.string({ unit: 'grapheme', maxLength: 8 }),
        requestQueue: fc.integer({ min: 1, max: 65_535 }),
        blockLength: fc.integer({ min: 1, max: 256 }).map((blocks) => blocks * 16_384),
        grant: fc.constant(GRANT),
        token: fc.constant(GRANT),
        demandsToken: fc.constant(true),
        zone: fc.constantFrom('a', 'zone-7', 'z'.repeat(63)).map(parseZone),
      },
      { requiredKeys: [], noNullPrototype: true },
    ),
  )
  .map(([names, rest]) => ({
    messages: new Map([...names].sort(byCodeUnit).map((name, index) => [name, index + 1])),
    ...rest,
  }));

test('an extended handshake decodes to itself', () => {
  fc.assert(
    fc.property(anyHandshake, (original) => {
      assert.deepEqual(decodeExtendedHandshake(encodeExtendedHandshake(original)), original);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test('arbitrary bytes and values give a handshake or HANDSHAKE_INVALID', () => {
  const scalar = fc.oneof(fc.maxSafeInteger(), fc.string({ maxLength: 8 }), fc.constant([]), fc.constant(new Map()));
  const dictionary = fc
    .array(fc.tuple(fc.constantFrom('m', 'v', 'reqq', 'sl_block', 'sl_grant', 'sl_zone', 'p'), scalar), {
      maxLength: 5,
    })
    .map((entries) => encodeBencode(new Map<string, BencodeInput>(entries)));
  fc.assert(
    fc.property(fc.oneof(dictionary, fc.uint8Array({ maxLength: 80 })), (bytes) => {
      try {
        decodeExtendedHandshake(bytes);
      } catch (error) {
        if (!isAppError(error, 'HANDSHAKE_INVALID')) throw error;
      }
    }),
    { seed: 1, numRuns: 2000 },
  );
});

test('a handshake of another client, with keys that we do not know, is understood', () => {
  const bytes = encodeBencode(
    new Map<string, BencodeInput>([
      [
        'm',
        new Map([
          ['ut_metadata', 3],
          ['ut_pex', 0],
          ['sl_hashes', 7],
        ]),
      ],
      ['metadata_size', 31_235],
      ['p', 6881],
      ['reqq', 500],
      ['v', 'Some Client 1.2'],
      ['yourip', Buffer.from([127, 0, 0, 1])],
    ]),
  );
  assert.deepEqual(decodeExtendedHandshake(bytes), {
    messages: new Map([
      ['sl_hashes', 7],
      ['ut_metadata', 3],
    ]),
    version: 'Some Client 1.2',
    requestQueue: 500,
  });
});

test('an empty dictionary announces nothing', () => {
  assert.deepEqual(decodeExtendedHandshake(Buffer.from('de')), { messages: new Map() });
});

test('an extended message named __proto__ is a name like any other', () => {
  const decoded = decodeExtendedHandshake(Buffer.from('d1:md9:__proto__i1eee'));
  assert.deepEqual([...decoded.messages], [['__proto__', 1]]);
});

test('the longest grant and token fit', () => {
  const grant = `${'a'.repeat(MAX_GRANT_LENGTH - 4)}.b.c`;
  const token = `${'a'.repeat(MAX_REGISTRY_TOKEN_LENGTH - 4)}.b.c`;
  const own = { messages: OWN_EXTENSION_MESSAGES, requestQueue: 512, version: 'x', demandsToken: true };
  const decoded = decodeExtendedHandshake(encodeExtendedHandshake({ ...own, grant, token }));
  assert.deepEqual([decoded.grant, decoded.token], [grant, token]);
});

const refused: readonly (readonly [string, BencodeInput])[] = [
  ['that is a list', []],
  ['whose m is a list', new Map([['m', []]])],
  ['whose m names a negative id', new Map([['m', new Map([['a', -1]])]])],
  ['whose m names an id above a byte', new Map([['m', new Map([['a', 256]])]])],
  [
    'whose m gives one id twice',
    new Map([
      [
        'm',
        new Map([
          ['a', 1],
          ['b', 1],
        ]),
      ],
    ]),
  ],
  ['whose m names an id as text', new Map([['m', new Map([['a', '1']])]])],
  [
    'whose m names a hundred messages',
    new Map([['m', new Map(Array.from({ length: 100 }, (_, id) => [`a${id}`, id]))]]),
  ],
  ['whose version is a number', new Map([['v', 1]])],
  ['whose version is a novel', new Map([['v', 'x'.repeat(129)]])],
  ['that queues no request', new Map([['reqq', 0]])],
  ['that queues more requests than memory', new Map([['reqq', 2 ** 40]])],
  ['that serves no block of 16 KiB', new Map([['sl_block', 16_383]])],
  ['that serves parts of blocks', new Map([['sl_block', 20_000]])],
  ['that serves more than a piece at once', new Map([['sl_block', 2 ** 23]])],
  ['whose block is text', new Map([['sl_block', '16384']])],
  ['whose grant is a number', new Map([['sl_grant', 1]])],
  ['whose grant is no JWT', new Map([['sl_grant', 'a.b']])],
  ['whose grant has a line break at its end', new Map([['sl_grant', 'a.b.c\n']])],
  ['whose token is a number', new Map([['sl_token', 1]])],
  ['whose token is no JWT', new Map([['sl_token', 'opaque']])],
  ['whose token is too long', new Map([['sl_token', `${'a'.repeat(MAX_REGISTRY_TOKEN_LENGTH - 3)}.b.c`]])],
  ['that demands a token twice', new Map([['sl_token_check', 2]])],
  ['whose grant is too long', new Map([['sl_grant', `${'a'.repeat(MAX_GRANT_LENGTH - 3)}.b.c`]])],
  ['that is too long', new Map([['zz', Buffer.alloc(MAX_EXTENDED_HANDSHAKE_LENGTH)]])],
];

for (const [what, value] of refused) {
  test(`an extended handshake ${what} is refused`, () => {
    assert.throws(() => decodeExtendedHandshake(encodeBencode(value)), { code: 'HANDSHAKE_INVALID' });
  });
}

test('what a receiver would refuse is not encoded', () => {
  const handshake = { messages: OWN_EXTENSION_MESSAGES, grant: 'not a grant' };
  assert.throws(() => encodeExtendedHandshake(handshake), { code: 'HANDSHAKE_INVALID' });
});

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : 1;
}
