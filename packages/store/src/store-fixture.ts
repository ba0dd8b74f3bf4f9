import { createHash, randomFillSync } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BLOCK_LENGTH,
  type Clock,
  type Digest,
  digestFromSha256,
  type Logger,
  type PieceGeometry,
  parseClusterId,
  parseRegistryHost,
  pieceGeometry,
  pieceSize,
  type RegistryHost,
  type SwarmId,
  silentLogger,
  swarmIdOf,
  systemClock,
} from '@sealift/core';
import { BlobStore } from './blob-store.ts';
import type { StoredBlob } from './stored-blob.ts';

// For the tests of this package only.

/** A blob with known bytes. */
export interface TestBlob {
  readonly bytes: Buffer;
  readonly registry: RegistryHost;
  readonly digest: Digest;
  readonly swarmId: SwarmId;
  readonly geometry: PieceGeometry;
}

/** A blob of random bytes, by default three pieces with a short last one. */
export function testBlob(size = 2 * BLOCK_LENGTH + 100, pieceLength = BLOCK_LENGTH): TestBlob {
  return testBlobOf(randomFillSync(Buffer.alloc(size)), pieceLength);
}

/** A blob of the given bytes. */
export function testBlobOf(bytes: Buffer, pieceLength = BLOCK_LENGTH): TestBlob {
  const registry = parseRegistryHost('registry.example');
  const digest = digestFromSha256(sha256(bytes));
  const swarmId = swarmIdOf(parseClusterId('test'), registry, digest);
  return { bytes, registry, digest, swarmId, geometry: pieceGeometry(bytes.length, pieceLength) };
}

/** What {@link BlobStore.create} takes for a test blob. */
export function creationOf({ registry, digest, swarmId, geometry }: TestBlob): Parameters<BlobStore['create']>[0] {
  return { blob: { registry, digest }, swarmId, geometry };
}

export function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** The bytes of one piece. */
export function pieceOf({ bytes, geometry }: TestBlob, index: number): Buffer {
  const start = index * geometry.pieceLength;
  return bytes.subarray(start, start + pieceSize(geometry, index));
}

/** Hands piece `index` to the store as a peer engine would: in a buffer of a full piece, with the right hash. */
export async function writeTestPiece(stored: StoredBlob, blob: TestBlob, index: number): Promise<boolean> {
  const piece = pieceOf(blob, index);
  const buffer = new ArrayBuffer(blob.geometry.pieceLength);
  new Uint8Array(buffer).set(piece);
  return (await stored.writePiece(index, buffer, sha256(piece))).verified;
}

/** Writes all pieces. */
export async function fill(stored: StoredBlob, blob: TestBlob): Promise<void> {
  for (let index = 0; index < blob.geometry.pieceCount; index += 1) await writeTestPiece(stored, blob, index);
}

/** Reads the piece back and says whether it is what the blob has there. */
export async function isPieceRight(stored: StoredBlob, blob: TestBlob, index: number): Promise<boolean> {
  const expected = pieceOf(blob, index);
  const into = Buffer.alloc(expected.length);
  await stored.read(index * blob.geometry.pieceLength, into);
  return into.equals(expected);
}

/** A test that gets a directory of its own, which is gone when it ends. */
export function inTemporaryDirectory(work: (directory: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealift-store-'));
    try {
      await work(directory);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  };
}

/** A store that is not started, by default with a generous quota. */
export function storeOf(
  directory: string,
  {
    quotaBytes = 2 ** 30,
    clock = systemClock,
    log = silentLogger,
  }: { quotaBytes?: number; clock?: Clock; log?: Logger } = {},
): BlobStore {
  return new BlobStore({ directory, quotaBytes, clock, log });
}

/** Starts a store in `directory` for the time of `work`. */
export async function withStore<T>(
  directory: string,
  work: (store: BlobStore) => Promise<T>,
  options: { quotaBytes?: number; clock?: Clock; log?: Logger } = {},
): Promise<T> {
  const store = storeOf(directory, options);
  await store.start();
  try {
    return await work(store);
  } finally {
    await store.stop();
  }
}

/** The directory that holds the files of a blob; fails unless there is exactly one. */
export async function directoryOf(root: string, { swarmId }: TestBlob): Promise<string> {
  const group = join(root, 'blobs', swarmId.slice(0, 2));
  const names = (await readdir(group)).filter((name) => name.startsWith(swarmId));
  const [name] = names;
  if (name === undefined || names.length > 1) throw new Error(`${names.length} directories for one blob`);
  return join(group, name);
}

/** Makes the next start believe that the machine went down without a clean stop. */
export async function pretendPowerLoss(root: string): Promise<void> {
  await writeFile(join(root, 'session.json'), JSON.stringify({ bootId: 'an earlier boot', isClean: false }));
}

/** Makes the next start believe that the last process was killed in this boot. */
export async function pretendKill(root: string): Promise<void> {
  const session = JSON.parse(await readFile(join(root, 'session.json'), 'utf8')) as object;
  await writeFile(join(root, 'session.json'), JSON.stringify({ ...session, isClean: false }));
}

/** A logger that keeps the events it is given. */
export function recordingLogger(): Logger & { readonly events: string[] } {
  const events: string[] = [];
  const note = (event: string): void => {
    events.push(event);
  };
  const log = { events, debug: note, info: note, warn: note, error: note, child: (): Logger => log };
  return log;
}
