import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Digest, digestFromSha256 } from '@sealift/core';
import { writeRandomFile } from './files.ts';

/** What every contender of a benchmark moves: one random file. */
export interface Payload {
  readonly file: string;
  readonly size: number;
  readonly pieceLength: number;
  /** SHA-256 of the whole file. */
  readonly digest: Digest;
}

/** Makes a payload in `directory`. */
export async function createPayload(
  directory: string,
  { size, pieceLength }: { size: number; pieceLength: number },
): Promise<Payload> {
  const file = path.join(directory, 'payload.bin');
  await writeRandomFile(file, size);
  const sha256 = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), sha256);
  return { file, size, pieceLength, digest: digestFromSha256(sha256.read() as Buffer) };
}
