import { AppError } from './errors.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Unit of one request on the wire, in bytes (BEP 3 convention). Every piece length is a multiple of it. */
export const BLOCK_LENGTH = 16 * KIB;

/** Largest blob we distribute, in bytes. With 4 MiB pieces its hash list is 512 KiB, which every peer must hold. */
export const MAX_BLOB_SIZE = 64 * 1024 * MIB;

/** Largest piece length we accept, in bytes: a receiver holds a few unverified pieces of this size in memory. */
export const MAX_PIECE_LENGTH = 4 * MIB;

/** How a blob is cut into pieces. Frozen data; the arithmetic lives in the functions below. */
export interface PieceGeometry {
  /** Bytes of the whole blob, at least 1. */
  readonly size: number;
  /** Bytes of each piece but the last. */
  readonly pieceLength: number;
  readonly pieceCount: number;
}

/** Checks and completes a geometry; throws `GEOMETRY_INVALID`. */
export function pieceGeometry(size: number, pieceLength: number): PieceGeometry {
  const isSizeValid = Number.isSafeInteger(size) && size >= 1 && size <= MAX_BLOB_SIZE;
  const isPieceLengthValid =
    Number.isSafeInteger(pieceLength) &&
    pieceLength >= BLOCK_LENGTH &&
    pieceLength <= MAX_PIECE_LENGTH &&
    pieceLength % BLOCK_LENGTH === 0;
  if (!isSizeValid || !isPieceLengthValid) throw new AppError('GEOMETRY_INVALID', { size, pieceLength });
  return Object.freeze({ size, pieceLength, pieceCount: Math.ceil(size / pieceLength) });
}

/**
 * The piece length that a seeder chooses for a blob of `size` bytes: small enough that a swarm of a small layer has
 * pieces to trade, large enough that the hash list of a huge one stays short: some hundred pieces, as each is told to every
 * neighbour.
 */
export function pieceLengthFor(size: number): number {
  if (size <= 48 * MIB) return 256 * KIB;
  if (size <= 128 * MIB) return 512 * KIB;
  if (size <= 4096 * MIB) return MIB;
  return MAX_PIECE_LENGTH;
}

/** Bytes of piece `index`; the last one may be short. Throws `GEOMETRY_INVALID` if there is no such piece. */
export function pieceSize({ size, pieceLength, pieceCount }: PieceGeometry, index: number): number {
  if (!Number.isInteger(index) || index < 0 || index >= pieceCount) {
    throw new AppError('GEOMETRY_INVALID', { reason: 'piece index out of range', index, pieceCount });
  }
  return index === pieceCount - 1 ? size - index * pieceLength : pieceLength;
}

/** Number of blocks in piece `index`. Throws `GEOMETRY_INVALID` if there is no such piece. */
export function blockCount(geometry: PieceGeometry, index: number): number {
  return Math.ceil(pieceSize(geometry, index) / BLOCK_LENGTH);
}
