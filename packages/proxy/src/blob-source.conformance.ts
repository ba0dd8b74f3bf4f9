import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { type BlobRef, digestFromSha256, parseDigest } from '@sealift/core';
import type { BlobRequest, BlobSource, OpenBlob } from './ports.ts';

/** A source under test that holds one blob, and what is true about it. */
export interface BlobSourceUnderTest {
  readonly source: BlobSource;
  /** A blob that `source` can give to `authorization`, of at least 100,000 bytes. */
  readonly blob: BlobRef;
  readonly size: number;
  readonly authorization: string | undefined;
  /** A header that gives no right to `blob`. */
  readonly wrongAuthorization: string | undefined;
  /** Lets go of everything. */
  stop?(): Promise<void>;
}

/** What every `BlobSource` owes to the proxy. The fake runs it here, the wired peer engine in the end-to-end tests. */
export function blobSourceConformance(name: string, makeSource: () => Promise<BlobSourceUnderTest>): void {
  const { signal } = new AbortController();

  async function withSource(body: (subject: BlobSourceUnderTest) => Promise<void>): Promise<void> {
    const subject = await makeSource();
    try {
      await body(subject);
    } finally {
      await subject.stop?.();
    }
  }

  async function withOpen(body: (open: OpenBlob, subject: BlobSourceUnderTest) => Promise<void>): Promise<void> {
    await withSource(async (subject) => {
      const open = await subject.source.open(pullOf(subject), { signal });
      assert.ok(open, 'the source opens the blob that it has');
      try {
        await body(open, subject);
      } finally {
        open.close();
      }
    });
  }

  describe(`${name} as a blob source`, () => {
    test('what comes out hashes to the digest asked for', () =>
      withOpen(async (open, { blob, size }) => {
        const bytes = await collect(open.read({ start: 0, end: open.size }, { signal }));
        assert.equal(open.size, size);
        assert.equal(digestFromSha256(createHash('sha256').update(bytes).digest()), blob.digest);
      }));

    test('a range gives exactly its bytes, wherever it begins and ends', () =>
      withOpen(async (open, { size }) => {
        const whole = await collect(open.read({ start: 0, end: size }, { signal }));
        for (const [start, end] of [
          [0, 1],
          [1, 65_537],
          [size - 1, size],
          [12_345, size],
        ] as const) {
          const part = await collect(open.read({ start, end }, { signal }));
          assert.ok(part.equals(whole.subarray(start, end)), `bytes ${start} to ${end}`);
        }
      }));

    test('two readers of one blob do not disturb each other', () =>
      withOpen(async (open, { source, size, ...subject }) => {
        const other = await source.open(pullOf(subject), { signal });
        assert.ok(other);
        const read = (from: OpenBlob) => collect(from.read({ start: 0, end: size }, { signal }));
        const [one, two] = await Promise.all([read(open), read(other)]);
        other.close();
        assert.ok(one.equals(two));
      }));

    test('the bytes read are counted by where they came from', () =>
      withOpen(async (open) => {
        await collect(open.read({ start: 0, end: 50_000 }, { signal }));
        assert.ok(open.served.peers + open.served.cache >= 50_000);
      }));

    test('nothing is transferred before the first read', () =>
      withOpen(async (open) => {
        assert.deepEqual({ ...open.served }, { peers: 0, cache: 0 });
      }));

    test('an unknown digest is nothing to open', () =>
      withSource(async ({ source, ...subject }) => {
        const digest = parseDigest(`sha256:${'0'.repeat(64)}`);
        const request = { ...pullOf(subject), blob: { ...subject.blob, digest } };
        assert.equal(await source.open(request, { signal }), undefined);
      }));

    test('who has no right gets nothing, even of a blob that somebody else has just read', () =>
      withOpen(async (open, { source, wrongAuthorization, ...subject }) => {
        await collect(open.read({ start: 0, end: open.size }, { signal }));
        const request = { ...pullOf(subject), authorization: wrongAuthorization };
        assert.equal(await source.open(request, { signal }), undefined);
      }));

    test('a check of a blob transfers nothing', () =>
      withSource(async ({ source, ...subject }) => {
        const open = await source.open({ ...pullOf(subject), intent: 'check' }, { signal });
        // Not to know yet is an answer too.
        if (open === undefined) return;
        assert.equal(open.size, subject.size);
        assert.deepEqual({ ...open.served }, { peers: 0, cache: 0 });
        open.close();
      }));

    test('an aborted signal ends a running read', () =>
      withOpen(async (open) => {
        const reader = new AbortController();
        const chunks = open.read({ start: 0, end: open.size }, { signal: reader.signal })[Symbol.asyncIterator]();
        await chunks.next();
        reader.abort();
        await assert.rejects(async () => {
          while (!(await chunks.next()).done);
          throw new Error('it ended as if it was whole');
        }, /abort/i);
      }));

    test('an aborted signal opens nothing', () =>
      withSource(async ({ source, ...subject }) => {
        const open = await source.open(pullOf(subject), { signal: AbortSignal.abort() }).catch(() => undefined);
        open?.close();
        assert.equal(open, undefined);
      }));

    test('closing twice does no harm', () =>
      withOpen(async (open) => {
        open.close();
        open.close();
      }));
  });
}

function pullOf({ blob, authorization }: Pick<BlobSourceUnderTest, 'blob' | 'authorization'>): BlobRequest {
  return { blob, authorization, intent: 'pull' };
}

/** Copies each chunk at once, because it is valid only until the next one is asked for. */
async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const chunk of chunks) copies.push(Buffer.from(chunk));
  return Buffer.concat(copies);
}
