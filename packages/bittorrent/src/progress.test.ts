import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAppError, MAX_BLOB_SIZE, parseSwarmId } from '@sealift/core';
import fc from 'fast-check';
import { newContentKey } from './content-key.fixture.ts';
import { claimedProgress, openProgress, signProgress } from './progress.ts';

const swarmId = parseSwarmId('ab'.repeat(20));
const { signer, verifier } = newContentKey();

test('progress decodes to itself', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: MAX_BLOB_SIZE }), (bytesRead) => {
      const payload = signProgress({ swarmId, bytesRead }, signer);
      assert.equal(claimedProgress(payload), bytesRead);
      assert.deepEqual(openProgress(payload, swarmId, verifier), { swarmId, bytesRead });
    }),
    { seed: 1, numRuns: 50 },
  );
});

test('arbitrary bytes give FRAME_INVALID', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.uint8Array({ minLength: 100, maxLength: 100 })),
      (payload) => {
        try {
          openProgress(payload, swarmId, verifier);
          assert.fail('nobody signed this');
        } catch (error) {
          if (!isAppError(error, 'FRAME_INVALID')) throw error;
        }
      },
    ),
    { seed: 1, numRuns: 200 },
  );
});

test('progress beyond the largest blob is refused', () => {
  const payload = signProgress({ swarmId, bytesRead: MAX_BLOB_SIZE + 1 }, signer);
  assert.throws(() => claimedProgress(payload), { code: 'FRAME_INVALID' });
});

test('progress counts only as the seeder of this cluster signed it, for this swarm', () => {
  const payload = signProgress({ swarmId, bytesRead: 1_000 }, signer);
  const refused = { code: 'FRAME_INVALID' };
  assert.throws(() => openProgress(payload, parseSwarmId('cd'.repeat(20)), verifier), refused);
  assert.throws(() => openProgress(payload, swarmId, newContentKey().verifier), refused);
  for (const at of [0, 63, 64, 72, 99]) {
    const forged = Buffer.from(payload);
    forged[at] = (forged[at] ?? 0) ^ 1;
    assert.throws(() => openProgress(forged, swarmId, verifier), refused);
  }
});
