import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { AppError, digestFromSha256, parseRegistryHost, parseRepository, pieceGeometry } from '@sealift/core';
import { FakeClock } from '@sealift/testkit';
import type { Ingest } from './ingest.ts';
import { type BlobBody, RegistryRead } from './registry-read.ts';

const PIECE = 1024 * 1024;
/** Five whole pieces and a part of one, each filled with its number. */
const BYTES = Buffer.concat(Array.from({ length: 6 }, (_, index) => Buffer.alloc(index === 5 ? 1000 : PIECE, index)));
const { signal } = new AbortController();

/** An ingest that holds on to each piece until it is told how it ended. */
class HeldIngest implements Pick<Ingest, 'addPiece' | 'progress'> {
  readonly begun: number[] = [];
  readonly buffers = new Set<ArrayBuffer>();
  readonly #pending: {
    buffer: ArrayBuffer;
    resolve: (buffer: ArrayBuffer) => void;
    reject: (error: unknown) => void;
  }[] = [];
  #onBegun: (() => void) | undefined;

  addPiece(index: number, buffer: ArrayBuffer): Promise<ArrayBuffer> {
    assert.ok(!this.#pending.some((piece) => piece.buffer === buffer), 'a buffer is used twice at once');
    assert.equal(new Uint8Array(buffer)[0], index);
    this.begun.push(index);
    this.buffers.add(buffer);
    this.#onBegun?.();
    return new Promise((resolve, reject) => this.#pending.push({ buffer, resolve, reject }));
  }

  progress(): void {}

  async begunCount(count: number): Promise<void> {
    while (this.begun.length < count) {
      await new Promise<void>((resolve) => {
        this.#onBegun = resolve;
      });
    }
  }

  /** The oldest piece is stored. */
  store(): void {
    const piece = this.#pending.shift();
    piece?.resolve(piece.buffer);
  }

  /** The oldest piece is refused. */
  refuse(error: Error): void {
    this.#pending.shift()?.reject(error);
  }
}

function readOf(ingest: HeldIngest): RegistryRead {
  const digest = digestFromSha256(createHash('sha256').update(BYTES).digest());
  return new RegistryRead({
    blob: { registry: parseRegistryHost('registry.test'), repository: parseRepository('app'), digest },
    geometry: pieceGeometry(BYTES.length, PIECE),
    ingest: ingest as unknown as Ingest,
    clock: new FakeClock(),
  });
}

function bodyOf(chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>, offset = 0): BlobBody {
  return { size: BYTES.length, offset, end: undefined, body: Readable.from(chunks) } as BlobBody;
}

/** The bytes from `start` on, in parts that fall anywhere in a piece. */
function* partsFrom(start: number, end = BYTES.length): Generator<Uint8Array> {
  for (let at = start; at < end; at += 300_000) yield BYTES.subarray(at, Math.min(end, at + 300_000));
}

/** A body that breaks off shortly after its first piece. */
function* breaking(): Generator<Uint8Array> {
  yield* partsFrom(0, PIECE + 5);
  throw new AppError('REGISTRY_UNAVAILABLE');
}

test('the registry is read on while pieces are being stored, two at a time, in buffers that are used again', async () => {
  const ingest = new HeldIngest();
  const read = readOf(ingest);
  const taking = read.take(bodyOf(partsFrom(0)), { signal });
  for (let count = 2; count <= 6; count += 1) {
    await ingest.begunCount(count);
    // The next one waits for the oldest: three buffers are all there is.
    assert.deepEqual(ingest.begun.length, count);
    ingest.store();
  }
  ingest.store();
  await taking;
  assert.deepEqual(ingest.begun, [0, 1, 2, 3, 4, 5]);
  assert.ok(ingest.buffers.size <= 3);
  assert.equal(read.finish(), true);
});

test('a body that breaks waits for the pieces that it gave, and another one goes on behind it', async () => {
  const ingest = new HeldIngest();
  const read = readOf(ingest);
  let isOver = false;
  const body = bodyOf(breaking());
  const taking = read.take(body, { signal }).finally(() => {
    isOver = true;
  });
  // Let go of once it is read; then the read itself would be over, too.
  await new Promise((resolve) => body.body.once('close', resolve));
  for (let turns = 0; turns < 10; turns += 1) await setImmediate();
  assert.equal(isOver, false);
  ingest.store();
  await assert.rejects(taking, { code: 'REGISTRY_UNAVAILABLE' });
  assert.equal(read.offset, PIECE + 5);
  const rest = read.take(bodyOf(partsFrom(read.offset), read.offset), { signal });
  for (let count = 2; count <= 6; count += 1) {
    await ingest.begunCount(count);
    ingest.store();
  }
  await rest;
  assert.equal(read.finish(), true);
});

test('what the store says of a piece comes before what the registry says, and ends the read for good', async () => {
  const ingest = new HeldIngest();
  const read = readOf(ingest);
  const taking = read.take(bodyOf(breaking()), { signal });
  await ingest.begunCount(1);
  ingest.refuse(new AppError('STORE_FULL'));
  await assert.rejects(taking, { code: 'STORE_FULL' });
  await assert.rejects(read.take(bodyOf(partsFrom(read.offset), read.offset), { signal }), { code: 'STORE_FULL' });
});
