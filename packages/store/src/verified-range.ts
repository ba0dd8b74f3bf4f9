import { AppError, type Bitfield, type PieceGeometry } from '@sealift/core';

/** Throws `PIECE_MISSING` unless all bytes of `[offset, offset + length)` lie in verified pieces. */
export function demandVerified(
  { geometry, bitfield }: { readonly geometry: PieceGeometry; readonly bitfield: Bitfield },
  offset: number,
  length: number,
): void {
  const { size, pieceLength } = geometry;
  const isInside = Number.isSafeInteger(offset) && offset >= 0 && offset + length <= size;
  const lastIndex = Math.floor((offset + length - 1) / pieceLength);
  if (isInside && (length === 0 || bitfield.firstMissing(Math.floor(offset / pieceLength)) > lastIndex)) return;
  throw new AppError('PIECE_MISSING', { offset, length });
}
