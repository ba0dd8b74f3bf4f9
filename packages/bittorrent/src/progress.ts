import { AppError, MAX_BLOB_SIZE } from '@sealift/core';

const PROGRESS_LENGTH = 8;

/** Encodes the payload of `sl_progress`: bytes of the blob that the seeder has received from the registry. */
export function encodeProgress(bytesRead: number): Buffer {
  const payload = Buffer.alloc(PROGRESS_LENGTH);
  payload.writeBigUInt64BE(BigInt(bytesRead));
  return payload;
}

/** Decodes the payload of `sl_progress`; throws `FRAME_INVALID` for a wrong length or more than the largest blob. */
export function decodeProgress(payload: Uint8Array): number {
  if (payload.length !== PROGRESS_LENGTH) {
    throw new AppError('FRAME_INVALID', { reason: 'progress of a wrong length', length: payload.length });
  }
  const bytesRead = Buffer.from(payload).readBigUInt64BE();
  if (bytesRead > BigInt(MAX_BLOB_SIZE)) throw new AppError('FRAME_INVALID', { reason: 'progress beyond any blob' });
  return Number(bytesRead);
}
