import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_LENGTH } from '@sealift/core';
import fc from 'fast-check';
import type { BlobStore } from './blob-store.ts';
import { footprint } from './quota.ts';
import {
  creationOf,
  inTemporaryDirectory,
  isPieceRight,
  pieceOf,
  pretendKill,
  pretendPowerLoss,
  sha256,
  storeOf,
  type TestBlob,
  testBlobOf,
  writeTestPiece,
} from './store-fixture.ts';

const PIECES = 4;
const BLOBS: readonly TestBlob[] = Array.from({ length: 4 }, (_, blob) =>
  testBlobOf(Buffer.alloc(PIECES * BLOCK_LENGTH - blob, blob + 1)),
);
/** Room for three of the four. */
const QUOTA = 3 * Math.max(...BLOBS.map(({ geometry }) => footprint(geometry)));

type Action =
  | { kind: 'create' | 'delete' | 'complete' | 'pin' | 'unpin'; blob: number }
  | { kind: 'write' | 'lie' | 'read'; blob: number; piece: number }
  | { kind: 'restart'; how: 'clean' | 'kill' | 'power' };

const anyBlob = fc.nat(BLOBS.length - 1);
const anyPiece = fc.nat(PIECES - 1);
const anyAction: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom('create', 'complete', 'pin', 'unpin'), blob: anyBlob }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete'), blob: anyBlob }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constantFrom('write', 'lie', 'read'), blob: anyBlob, piece: anyPiece }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart'), how: fc.constantFrom('clean', 'kill', 'power') }) },
);

/** What the store should hold: plain sets, and an order of use. */
class Model {
  readonly held = new Map<number, { pieces: Set<number>; isComplete: boolean; pins: (() => void)[] }>();
  readonly evicted: number[] = [];
  /** From least to most recently used. */
  order: number[] = [];

  use(blob: number): void {
    this.order = [...this.order.filter((other) => other !== blob), blob];
  }

  forget(blob: number): void {
    this.held.delete(blob);
    this.order = this.order.filter((other) => other !== blob);
  }

  /** Makes room as the store should; `false` if it cannot. */
  admit(blob: number): boolean {
    if (this.held.has(blob)) return true;
    if (this.held.size >= 3) {
      const victim = this.order.find((other) => this.held.get(other)?.pins.length === 0);
      if (victim === undefined) return false;
      this.forget(victim);
      this.evicted.push(victim);
    }
    this.held.set(blob, { pieces: new Set(), isComplete: false, pins: [] });
    this.use(blob);
    return true;
  }
}

test('any sequence of create, write, read, evict and restart leaves what a simple model says', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyAction, { minLength: 5, maxLength: 40 }), (actions) =>
      inTemporaryDirectory((directory) => play(directory, actions))(),
    ),
    { seed: 11, numRuns: 25 },
  );
});

async function play(directory: string, actions: readonly Action[]): Promise<void> {
  const model = new Model();
  const evicted: number[] = [];
  // Time moves a minute with each step, so that the order of use survives a restart exactly.
  let now = 1_000_000_000;
  const clock = { now: () => now };
  const store = storeOf(directory, { quotaBytes: QUOTA, clock });
  store.onEvicted(({ swarmId }) => evicted.push(BLOBS.findIndex((blob) => blob.swarmId === swarmId)));
  await store.start();
  try {
    for (const action of actions) {
      now += 60_000;
      if (action.kind === 'restart') await restart(store, directory, action.how, model);
      else await step(store, model, action);
      compare(store, model);
      assert.deepEqual(evicted, model.evicted);
    }
  } finally {
    await store.stop();
  }
}

async function step(store: BlobStore, model: Model, action: Exclude<Action, { kind: 'restart' }>): Promise<void> {
  const blob = BLOBS[action.blob] as TestBlob;
  if (action.kind === 'create') {
    if (model.admit(action.blob)) await store.create(creationOf(blob));
    else await assert.rejects(store.create(creationOf(blob)), { code: 'STORE_FULL' });
    return;
  }
  const stored = store.get(blob.swarmId);
  const expected = model.held.get(action.blob);
  assert.equal(stored === undefined, expected === undefined);
  if (stored === undefined || expected === undefined) return;
  switch (action.kind) {
    case 'write':
      assert.equal(await writeTestPiece(stored, blob, action.piece), true);
      expected.pieces.add(action.piece);
      model.use(action.blob);
      return;
    case 'lie': {
      const { verified } = await stored.writePiece(
        action.piece,
        new ArrayBuffer(BLOCK_LENGTH),
        sha256(pieceOf(blob, action.piece)),
      );
      assert.equal(verified, false);
      model.use(action.blob);
      return;
    }
    case 'read':
      if (expected.pieces.has(action.piece)) {
        assert.equal(await isPieceRight(stored, blob, action.piece), true);
        model.use(action.blob);
      } else {
        await assert.rejects(isPieceRight(stored, blob, action.piece), { code: 'PIECE_MISSING' });
      }
      return;
    case 'complete':
      if (expected.pieces.size < PIECES) return assert.rejects(stored.markComplete(), { code: 'PIECE_MISSING' });
      await stored.markComplete();
      expected.isComplete = true;
      return;
    case 'pin':
      expected.pins.push(stored.pin());
      model.use(action.blob);
      return;
    case 'unpin':
      expected.pins.pop()?.();
      return;
    case 'delete':
      for (const unpin of expected.pins) unpin();
      await store.delete(blob.swarmId);
      model.forget(action.blob);
      return;
  }
}

async function restart(
  store: BlobStore,
  directory: string,
  how: 'clean' | 'kill' | 'power',
  model: Model,
): Promise<void> {
  await store.stop();
  if (how === 'kill') await pretendKill(directory);
  if (how === 'power') await pretendPowerLoss(directory);
  for (const held of model.held.values()) held.pins = [];
  await store.start();
  // After a power loss a blob shows up once it is checked, and asking for it waits for that.
  for (const blob of model.held.keys()) await store.create(creationOf(BLOBS[blob] as TestBlob));
}

function compare(store: BlobStore, model: Model): void {
  const digests = (blobs: Iterable<{ digest: string }>) => [...blobs].map(({ digest }) => digest).sort();
  assert.deepEqual(digests(store.list()), digests([...model.held.keys()].map((blob) => BLOBS[blob] as TestBlob)));
  assert.ok(store.usedBytes <= QUOTA);
  for (const [blob, { pieces, isComplete }] of model.held) {
    const stored = store.get((BLOBS[blob] as TestBlob).swarmId);
    const bits = Array.from({ length: PIECES }, (_, index) => index).filter((index) => stored?.bitfield.has(index));
    assert.deepEqual(bits, [...pieces].sort());
    assert.equal(stored?.isComplete, isComplete);
  }
}
