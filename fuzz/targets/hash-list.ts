import { generateKeyPairSync } from 'node:crypto';
import {
  type ContentVerifier,
  createContentSigner,
  createContentVerifier,
  HASH_LENGTH,
  type HashBatch,
  HashList,
  openHashBatch,
  openProgress,
  signHashBatch,
} from '@sealift/bittorrent';
import { digestFromSha256, parseSwarmId, pieceGeometry } from '@sealift/core';
import type { SeededRandom } from '../random.ts';
import { demand, type Target, unlessRefused } from '../target.ts';

const swarmId = parseSwarmId('77ddf026c6c8cde208dd6cb2718f815c63ee2a21');
const digest = digestFromSha256(Buffer.alloc(32, 7));
const geometry = pieceGeometry(9 * 16_384 - 100, 16_384);
/** Bytes before a batch in an input: its length. */
const LENGTH_BYTES = 2;

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signer = createContentSigner(privateKey);
/** The signatures of real keys, which no mutation gets right. */
const strict = createContentVerifier([
  publicKey.export({ format: 'jwk' }) as { kty: string; crv: string; x: string; y: string },
]);
/** A compromised or faulty seeder: everything is signed. */
const lenient: ContentVerifier = { verify: () => true };

/** Signed batches of hashes, one after another, as a list takes them: also those that only a faulty seeder would sign. */
export const hashListTarget: Target = {
  name: 'hash-list',
  summary: 'signed hash batches (sl_hashes), sl_progress, and the list they make',
  maxLength: 8_000,
  tokens: [Buffer.from(swarmId, 'hex'), Buffer.from([0, 0, 0, 0, 0, 0, 0, 1]), Buffer.from([0, 0, 0x40, 0])],
  generate: (random) => {
    const batches = Array.from({ length: 1 + random.length(5) }, () => signHashBatch(anyBatch(random), signer));
    return Buffer.concat(
      batches.flatMap((batch) => {
        const length = Buffer.alloc(LENGTH_BYTES);
        length.writeUInt16BE(batch.length);
        return [length, batch];
      }),
    );
  },
  run: (input) => {
    const list = new HashList({ swarmId, digest, geometry });
    for (const bytes of batchesIn(input)) {
      unlessRefused(['HASH_BATCH_INVALID'], () => openHashBatch(bytes, strict));
      unlessRefused(['FRAME_INVALID'], () => openProgress(bytes, swarmId, lenient));
      addTo(list, bytes);
    }
  },
};

function addTo(list: HashList, bytes: Uint8Array): void {
  const batch = unlessRefused(['HASH_BATCH_INVALID'], () => openHashBatch(bytes, lenient));
  if (batch === undefined) return;
  const before = stateOf(list);
  const added = unlessRefused(['HASH_BATCH_INVALID'], () => list.add(batch));
  const after = stateOf(list);
  if (added === undefined || !added.isNews) {
    demand(JSON.stringify(after) === JSON.stringify(before), 'a batch that is refused or no news changes nothing');
  }
  if (!batch.isComplete && batch.startedAt < before.startedAt) {
    demand(JSON.stringify(after) === JSON.stringify(before), 'what an older ingest says counts only if it is proven');
  }
  demand(after.startedAt >= before.startedAt, 'the newest ingest never gets older');
  demand(after.known >= before.known && after.known <= geometry.pieceCount, 'known hashes are not forgotten');
  if (!before.isComplete) return;
  demand(after.isComplete && !after.isWithdrawn, 'a complete list stays complete');
  demand(after.hashes === before.hashes, 'no hash of a complete list changes');
}

function stateOf(list: HashList) {
  const hashes = Array.from({ length: geometry.pieceCount }, (_, index) =>
    Buffer.from(list.hashOf(index) ?? []).toString('hex'),
  );
  const current = Array.from({ length: geometry.pieceCount }, (_, index) => list.isCurrent(index));
  const { startedAt, knownCount: known, isComplete, isWithdrawn } = list;
  return { startedAt, known, isComplete, isWithdrawn, hashes: hashes.join(), current: current.join() };
}

function* batchesIn(input: Uint8Array): Iterable<Uint8Array> {
  const bytes = Buffer.from(input);
  for (let at = 0; at + LENGTH_BYTES <= bytes.length; ) {
    const end = at + LENGTH_BYTES + bytes.readUInt16BE(at);
    yield bytes.subarray(at + LENGTH_BYTES, end);
    at = end;
  }
}

function anyBatch(random: SeededRandom): HashBatch {
  const firstIndex = random.below(geometry.pieceCount + 1);
  const count = random.oneIn(3) ? geometry.pieceCount - firstIndex : random.below(geometry.pieceCount - firstIndex + 1);
  const fill = random.oneIn(3) ? random.below(4) : 1;
  const kind = random.below(4);
  return {
    ...{ swarmId, digest, size: geometry.size, pieceLength: geometry.pieceLength },
    ...{
      startedAt: 1 + random.below(4),
      firstIndex: random.oneIn(3) ? 0 : firstIndex,
      hashes: Buffer.alloc(count * HASH_LENGTH, fill),
    },
    ...{ isComplete: kind === 1, isWithdrawn: kind === 2 },
  };
}
