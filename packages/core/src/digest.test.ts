import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { digestBytes, digestFromSha256, isDigest, parseDigest } from './digest.ts';

const HEX = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

test('a digest is sha256, a colon and 64 lower-case hex digits', () => {
  assert.equal(parseDigest(`sha256:${HEX}`), `sha256:${HEX}`);
  const refused = [
    '',
    HEX,
    `sha256:${HEX.slice(1)}`,
    `sha256:${HEX}0`,
    `sha256:${HEX.toUpperCase()}`,
    `SHA256:${HEX}`,
    `sha512:${HEX}${HEX}`,
    `sha256:${HEX}\n`,
    ` sha256:${HEX}`,
    `sha256:../../${HEX.slice(6)}`,
  ];
  for (const text of refused) {
    assert.equal(isDigest(text), false, JSON.stringify(text));
    assert.throws(() => parseDigest(text), { code: 'DIGEST_INVALID' });
  }
});

test('the digest of a hash names that hash', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (sha256) => {
      const digest = digestFromSha256(sha256);
      assert.ok(isDigest(digest));
      assert.deepEqual(digestBytes(digest), Buffer.from(sha256));
    }),
    { seed: 1, numRuns: 100 },
  );
});

test('a hash of another length has no digest', () => {
  for (const length of [0, 20, 31, 33, 64]) {
    assert.throws(() => digestFromSha256(new Uint8Array(length)), { code: 'DIGEST_INVALID' });
  }
});
