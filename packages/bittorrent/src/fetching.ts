import { AppError } from '@sealift/core';

/** Most pieces in one `sl_fetching`: several times what one far connection works on. */
export const MAX_FETCHING = 64;
const INDEX_LENGTH = 4;

/** Encodes the payload of `sl_fetching`: pieces that the sender is fetching from another zone. At most {@link MAX_FETCHING}. */
export function encodeFetching(indexes: readonly number[]): Buffer {
  const payload = Buffer.alloc(indexes.length * INDEX_LENGTH);
  for (const [at, index] of indexes.entries()) payload.writeUInt32BE(index, at * INDEX_LENGTH);
  return payload;
}

/** Decodes the payload of `sl_fetching`; throws `FRAME_INVALID` for a wrong length or a piece that does not exist. */
export function decodeFetching(payload: Uint8Array, pieceCount: number): readonly number[] {
  const count = payload.length / INDEX_LENGTH;
  if (!Number.isInteger(count) || count < 1 || count > MAX_FETCHING) {
    throw new AppError('FRAME_INVALID', { reason: 'list of pieces of a wrong length', length: payload.length });
  }
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  const indexes = Array.from({ length: count }, (_, at) => bytes.readUInt32BE(at * INDEX_LENGTH));
  if (indexes.some((index) => index >= pieceCount)) {
    throw new AppError('FRAME_INVALID', { reason: 'list of pieces with one that does not exist' });
  }
  return indexes;
}
