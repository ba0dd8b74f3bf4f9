import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError, MAX_BLOB_SIZE } from '@sealift/core';
import fc from 'fast-check';
import { newContentKey } from './content-key.fixture.ts';
import { anyBatch, hashesOf, newBatch } from './hash-batch.fixture.ts';
import { type HashBatch, MAX_BATCH_HASHES, openHashBatch, signHashBatch } from './hash-batch.ts';
import { encodeMessage, MAX_FRAME_LENGTH } from './message.ts';

const { signer, verifier } = newContentKey();
const signed = signHashBatch(newBatch(), signer);

/** A batch with other bytes at `offset`, signed as if the seeder had meant it. */
function resigned(offset: number, bytes: string | Uint8Array): Buffer {
  const unsigned = Buffer.from(signed.subarray(64));
  unsigned.set(typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes, offset - 64);
  return withSignature(unsigned);
}

function withSignature(unsigned: Uint8Array): Buffer {
  return Buffer.concat([signer.sign(Buffer.concat([Buffer.from('sealift/hashes/2\0'), unsigned])), unsigned]);
}

/** The signed part of a batch that is right in all but holding one hash more than allowed. */
function tooManyHashes(): Buffer {
  const unsigned = Buffer.concat([signed.subarray(64, 153), hashesOf(0, MAX_BATCH_HASHES + 1)]);
  unsigned.writeUInt32BE(MAX_BATCH_HASHES + 1, 148 - 64);
  return unsigned;
}

test('a signed batch opens to itself', () => {
  fc.assert(
    fc.property(anyBatch, (batch) => {
      assert.deepEqual(openHashBatch(signHashBatch(batch, signer), verifier), batch);
    }),
    { seed: 1, numRuns: 100 },
  );
});

test('a batch with any byte changed is refused', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: signed.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, difference) => {
      const changed = Buffer.from(signed);
      changed[at] = (changed[at] ?? 0) ^ difference;
      assert.throws(() => openHashBatch(changed, verifier), { code: 'HASH_BATCH_INVALID' });
    }),
    { seed: 1, numRuns: 300 },
  );
});

test('arbitrary bytes, even signed ones, give a batch or HASH_BATCH_INVALID', () => {
  const patched = fc
    .tuple(fc.integer({ min: 64, max: 152 }), fc.uint8Array({ minLength: 1, maxLength: 1 }))
    .map(([offset, byte]) => resigned(offset, byte));
  const signedNoise = fc.uint8Array({ maxLength: 200 }).map(withSignature);
  fc.assert(
    fc.property(fc.oneof(patched, signedNoise, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      try {
        openHashBatch(bytes, verifier);
      } catch (error) {
        if (!isAppError(error, 'HASH_BATCH_INVALID')) throw error;
      }
    }),
    { seed: 1, numRuns: 600 },
  );
});

test('the longest batch fits a frame', () => {
  const payload = signHashBatch(newBatch({ hashes: hashesOf(0, MAX_BATCH_HASHES) }), signer);
  assert.equal(encodeMessage({ type: 'extended', id: 1, payload }).length, 4 + MAX_FRAME_LENGTH);
  assert.equal(openHashBatch(payload, verifier).hashes.length, MAX_BATCH_HASHES * 32);
});

test('a batch without hashes is enough to begin, complete or withdraw', () => {
  for (const flag of [{}, { isComplete: true }, { isWithdrawn: true }]) {
    const batch = newBatch({ ...flag, firstIndex: 2000, hashes: Buffer.alloc(0) });
    assert.deepEqual(openHashBatch(signHashBatch(batch, signer), verifier), batch);
  }
});

test('a batch signed by another cluster is refused, whichever key id it names', () => {
  const stranger = newContentKey().signer;
  assert.throws(() => openHashBatch(signHashBatch(newBatch(), stranger), verifier), { code: 'HASH_BATCH_INVALID' });
  const posing = { keyId: signer.keyId, sign: stranger.sign };
  assert.throws(() => openHashBatch(signHashBatch(newBatch(), posing), verifier), { code: 'HASH_BATCH_INVALID' });
});

test('a signature over the same bytes for another purpose is refused', () => {
  const unsigned = signed.subarray(64);
  const bare = Buffer.concat([signer.sign(unsigned), unsigned]);
  assert.throws(() => openHashBatch(bare, verifier), { code: 'HASH_BATCH_INVALID' });
});

// Each row is validly signed and false in one field, so that the signature cannot be what refuses it.
const refused: readonly (readonly [string, Uint8Array])[] = [
  ['cut in its header', withSignature(Buffer.alloc(80))],
  ['counting a hash more than it has', resigned(148, '00000004')],
  ['counting a hash less than it has', resigned(148, '00000002')],
  ['counting more hashes than a frame holds', resigned(148, 'ffffffff')],
  ['with a hash too many', withSignature(tooManyHashes())],
  ['starting at the last index of all', resigned(144, 'ffffffff')],
  ['running beyond the last piece', resigned(144, '000007ce')],
  ['with a size of nothing', resigned(124, '0000000000000000')],
  ['with a size that no double holds', resigned(124, 'ffffffffffffffff')],
  ['with a size above the largest blob', resigned(124, '0000001000000001')],
  ['with a piece length of nothing', resigned(132, '00000000')],
  ['with a piece length that is no multiple of a block', resigned(132, '00004001')],
  ['with a piece length above the limit', resigned(132, '80000000')],
  ['with more pieces than a bitfield can show', resigned(124, '0000001000000000')],
  ['with a flag that we do not know', resigned(152, '04')],
  ['complete and withdrawn at once', resigned(152, '03')],
  ['of an ingest that began at no time', resigned(136, '0000000000000000')],
  ['of an ingest that begins when no double can say', resigned(136, '0020000000000000')],
];

for (const [what, bytes] of refused) {
  test(`a batch ${what} is refused`, () => {
    assert.throws(() => openHashBatch(bytes, verifier), { code: 'HASH_BATCH_INVALID' });
  });
}

const unsignable: readonly (readonly [string, Partial<HashBatch>])[] = [
  ['half a hash', { hashes: Buffer.alloc(48) }],
  ['too many hashes', { hashes: hashesOf(0, MAX_BATCH_HASHES + 1) }],
  ['a negative index', { firstIndex: -1 }],
  ['a fractional size', { size: 1.5 }],
  ['a fractional start', { startedAt: 1.5 }],
  ['no start', { startedAt: 0 }],
  ['a blob above the limit', { size: MAX_BLOB_SIZE + 1, pieceLength: 4 * 1024 * 1024 }],
];

for (const [what, change] of unsignable) {
  test(`a batch with ${what} is not signed`, () => {
    assert.throws(() => signHashBatch(newBatch(change), signer), { code: 'HASH_BATCH_INVALID' });
  });
}
