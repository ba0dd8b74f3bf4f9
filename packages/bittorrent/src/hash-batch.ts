import {
  AppError,
  type Digest,
  digestBytes,
  digestFromSha256,
  ES256_LENGTH,
  type PieceGeometry,
  parseSwarmId,
  pieceGeometry,
  type SwarmId,
} from '@sealift/core';
import { type ContentSigner, type ContentVerifier, KEY_ID_LENGTH } from './content-key.ts';
import { MAX_PIECE_COUNT } from './message.ts';

/** Bytes of one piece hash (SHA-256). */
export const HASH_LENGTH = 32;
/** Most hashes in one batch. With them a batch is 32 KiB, twice a block: long lists stay cheap, frames stay short. */
export const MAX_BATCH_HASHES = 1024;

/** Keeps a signature over a batch from meaning anything in another use of the key (docs/protocol.md, `sl_hashes`). */
const SIGNATURE_CONTEXT = Buffer.from('sealift/hashes/2\0', 'latin1');

const OFFSET = {
  keyId: 64,
  swarmId: 72,
  sha256: 92,
  size: 124,
  pieceLength: 132,
  startedAt: 136,
  firstIndex: 144,
  count: 148,
  flags: 152,
  hashes: 153,
} as const;
const FLAG_COMPLETE = 1;
const FLAG_WITHDRAWN = 2;

/** Hashes of consecutive pieces, as a seeder signs them while it reads the blob. */
export interface HashBatch {
  readonly swarmId: SwarmId;
  readonly digest: Digest;
  /** Bytes of the whole blob. */
  readonly size: number;
  readonly pieceLength: number;
  /** When the seeder began the ingest that the batch is about, in ms since the epoch: what tells a replay from news. */
  readonly startedAt: number;
  /** Piece of the first hash. */
  readonly firstIndex: number;
  /** {@link HASH_LENGTH} bytes each, at most {@link MAX_BATCH_HASHES}. Without any and without a flag, a batch says that an ingest has begun. */
  readonly hashes: Buffer;
  /** The whole blob matches its digest. */
  readonly isComplete: boolean;
  /** The whole blob does not match its digest: everyone drops it. */
  readonly isWithdrawn: boolean;
}

/** Encodes and signs a batch; throws `HASH_BATCH_INVALID` for one that a receiver would refuse. */
export function signHashBatch(batch: HashBatch, signer: ContentSigner): Buffer {
  checkBatch(batch);
  const unsigned = encodeUnsigned(batch, signer.keyId);
  return Buffer.concat([signer.sign(Buffer.concat([SIGNATURE_CONTEXT, unsigned])), unsigned]);
}

/**
 * Decodes a batch and verifies it; throws `HASH_BATCH_INVALID`. The caller still has to hold it against what it knows of
 * the swarm, see `HashList`. `hashes` is a view of `bytes`.
 */
export function openHashBatch(bytes: Uint8Array, verifier: ContentVerifier): HashBatch {
  const batch = decodeUnverified(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  const signed = Buffer.concat([SIGNATURE_CONTEXT, bytes.subarray(ES256_LENGTH)]);
  const keyId = bytes.subarray(OFFSET.keyId, OFFSET.keyId + KEY_ID_LENGTH);
  if (!verifier.verify(keyId, signed, bytes.subarray(0, ES256_LENGTH))) throw invalid('not signed by this cluster');
  return batch;
}

/** The signed part of a batch: all that follows the signature. */
function encodeUnsigned(batch: HashBatch, keyId: Uint8Array): Buffer {
  const frame = Buffer.alloc(OFFSET.hashes + batch.hashes.length);
  frame.set(keyId, OFFSET.keyId);
  frame.write(batch.swarmId, OFFSET.swarmId, 'hex');
  frame.set(digestBytes(batch.digest), OFFSET.sha256);
  frame.writeBigUInt64BE(BigInt(batch.size), OFFSET.size);
  frame.writeUInt32BE(batch.pieceLength, OFFSET.pieceLength);
  frame.writeBigUInt64BE(BigInt(batch.startedAt), OFFSET.startedAt);
  frame.writeUInt32BE(batch.firstIndex, OFFSET.firstIndex);
  frame.writeUInt32BE(batch.hashes.length / HASH_LENGTH, OFFSET.count);
  frame.writeUInt8((batch.isComplete ? FLAG_COMPLETE : 0) | (batch.isWithdrawn ? FLAG_WITHDRAWN : 0), OFFSET.flags);
  frame.set(batch.hashes, OFFSET.hashes);
  return frame.subarray(ES256_LENGTH);
}

function decodeUnverified(bytes: Buffer): HashBatch {
  if (bytes.length < OFFSET.hashes) throw invalid('too short');
  const count = bytes.readUInt32BE(OFFSET.count);
  if (bytes.length !== OFFSET.hashes + count * HASH_LENGTH) throw invalid('number of hashes does not fit the length');
  const size = readSafeInteger(bytes, OFFSET.size);
  const startedAt = readSafeInteger(bytes, OFFSET.startedAt);
  if (size === undefined || startedAt === undefined) throw invalid('size or start out of range');
  const flags = bytes.readUInt8(OFFSET.flags);
  if ((flags & ~(FLAG_COMPLETE | FLAG_WITHDRAWN)) !== 0) throw invalid('unknown flag');
  const batch: HashBatch = {
    swarmId: parseSwarmId(bytes.toString('hex', OFFSET.swarmId, OFFSET.sha256)),
    digest: digestFromSha256(bytes.subarray(OFFSET.sha256, OFFSET.size)),
    size,
    pieceLength: bytes.readUInt32BE(OFFSET.pieceLength),
    startedAt,
    firstIndex: bytes.readUInt32BE(OFFSET.firstIndex),
    hashes: bytes.subarray(OFFSET.hashes),
    isComplete: (flags & FLAG_COMPLETE) !== 0,
    isWithdrawn: (flags & FLAG_WITHDRAWN) !== 0,
  };
  checkBatch(batch);
  return batch;
}

function readSafeInteger(bytes: Buffer, offset: number): number | undefined {
  const value = bytes.readBigUInt64BE(offset);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(value);
}

function checkBatch({ size, pieceLength, startedAt, firstIndex, hashes, isComplete, isWithdrawn }: HashBatch): void {
  const { pieceCount } = checkedGeometry(size, pieceLength);
  // Zero is what a list that knows no ingest yet begins with.
  if (!Number.isSafeInteger(startedAt) || startedAt < 1) throw invalid('start of the ingest out of range');
  const count = hashes.length / HASH_LENGTH;
  if (!Number.isInteger(count) || count > MAX_BATCH_HASHES) throw invalid('number of hashes out of range');
  if (!Number.isInteger(firstIndex) || firstIndex < 0 || firstIndex + count > pieceCount) {
    throw invalid('hashes of pieces that the blob does not have');
  }
  if (isComplete && isWithdrawn) throw invalid('complete and withdrawn at once');
}

function checkedGeometry(size: number, pieceLength: number): PieceGeometry {
  let geometry: PieceGeometry;
  try {
    geometry = pieceGeometry(size, pieceLength);
  } catch (cause) {
    throw invalid('size and piece length do not fit together', cause);
  }
  if (geometry.pieceCount > MAX_PIECE_COUNT) throw invalid('more pieces than a bitfield can show');
  return geometry;
}

function invalid(reason: string, cause?: unknown): AppError {
  return new AppError('HASH_BATCH_INVALID', { reason }, { cause });
}
