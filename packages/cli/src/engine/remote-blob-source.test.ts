import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseDigest, parseRegistryHost, parseRepository, silentLogger } from '@sealift/core';
import type { BlobRequest } from '@sealift/proxy';
import type { EngineMessage, FrontMessage } from './engine-messages.ts';
import { RemoteBlobSource } from './remote-blob-source.ts';

const SIZE = 16_384;
const request: BlobRequest = {
  blob: {
    registry: parseRegistryHost('registry.example'),
    repository: parseRepository('team/app'),
    digest: parseDigest(`sha256:${'a'.repeat(64)}`),
  },
  authorization: 'Bearer x',
  intent: 'pull',
};

/** A source whose engine is this test, and two files of the right size: in the store and beside it. */
async function setUp(t: TestContext) {
  const directory = await mkdtemp(path.join(tmpdir(), 'sealift-front-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const store = path.join(directory, 'store');
  const [inside, beside] = [path.join(store, 'data'), path.join(directory, 'store-of-another')];
  await mkdir(store);
  for (const file of [inside, beside]) await writeFile(file, Buffer.alloc(SIZE));
  const source = new RemoteBlobSource({ store, log: silentLogger });
  const heard: FrontMessage[] = [];
  source.attach((message) => heard.push(message) > 0);
  return { source, heard, store, inside, beside };
}

function fileAnswer(file: string): EngineMessage {
  const pieces = Buffer.of(0x80).toString('base64');
  return {
    type: 'file',
    id: 0,
    size: SIZE,
    pieceLength: SIZE,
    file,
    pieces,
    held: pieces,
    isSigned: true,
    revision: 0,
  };
}

test('a file of the store that an engine names is opened, and no other', async (t) => {
  const { source, heard, store, inside, beside } = await setUp(t);
  const signal = AbortSignal.timeout(10_000);
  const good = source.open(request, { signal });
  source.take(fileAnswer(inside));
  const blob = await good;
  assert.equal(blob?.size, SIZE);
  blob?.close();
  for (const [turn, file] of [beside, `${store}/../store-of-another`, 'data'].entries()) {
    heard.length = 0;
    const opening = source.open(request, { signal });
    source.take({ ...fileAnswer(file), id: turn + 1 } as EngineMessage);
    assert.equal(await opening, undefined, file);
    assert.deepEqual(heard.at(-1), { type: 'close', id: turn + 1 });
  }
});

test('an opening that is given up is closed at the engine, and one that loses its engine passes through', async (t) => {
  const { source, heard } = await setUp(t);
  const gone = new AbortController();
  const opening = source.open(request, { signal: gone.signal });
  gone.abort(new Error('the client has left'));
  await assert.rejects(opening, /the client has left/);
  assert.deepEqual(heard.at(-1), { type: 'close', id: 0 });
  const orphan = source.open(request, { signal: AbortSignal.timeout(10_000) });
  source.detach();
  assert.equal(await orphan, undefined);
  assert.deepEqual(heard.at(-1), { type: 'close', id: 1 });
  assert.equal(await source.open(request, { signal: AbortSignal.timeout(10_000) }), undefined);
  assert.equal(source.size, 0);
});

test('an engine that comes back and takes a piece back ends the reads of before, which have gone on without it', async (t) => {
  const { source, heard, inside } = await setUp(t);
  const signal = AbortSignal.timeout(10_000);
  await writeFile(inside, Buffer.alloc(2 * SIZE));
  const pieces = Buffer.of(0xc0).toString('base64');
  const opening = source.open(request, { signal });
  source.take({ ...fileAnswer(inside), size: 2 * SIZE, pieces, held: pieces } as EngineMessage);
  const blob = await opening;
  source.detach();
  source.attach((message) => heard.push(message) > 0);
  source.take({ type: 'revised', id: 0, revision: 1 });
  const first = blob?.read({ start: 0, end: SIZE }, { signal })[Symbol.asyncIterator]();
  await assert.rejects(async () => await first?.next(), { code: 'SWARM_WITHDRAWN' });
  blob?.close();
  assert.deepEqual([source.size, heard.at(-1)], [0, { type: 'close', id: 0 }]);
});
