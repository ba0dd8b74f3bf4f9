import { close, constants, fstat, open } from 'node:fs';
import { promisify } from 'node:util';
import { AppError, type Bitfield, type PieceGeometry } from '@sealift/core';
import { asDiskError } from './disk-error.ts';
import { readFully } from './read-fully.ts';
import type { ReadableBlob } from './stored-blob.ts';
import { demandVerified } from './verified-range.ts';

const [openFile, statFile, closeFile] = [promisify(open), promisify(fstat), promisify(close)];

/**
 * A blob of a store that another process keeps, read through a descriptor of our own: what is verified is copied by the
 * kernel alone. The owner of the store says which pieces are verified, and pins the blob while the file is being opened;
 * from then on the bytes stay whatever becomes of their name.
 */
export class SharedBlob implements ReadableBlob {
  readonly geometry: PieceGeometry;
  /** The pieces that the owner has verified, as far as we know; whoever hears of more adds them. */
  readonly bitfield: Bitfield;
  readonly #fd: number;
  #reads = 0;
  #isClosed = false;

  /** Opens the data file of a stored blob. Throws `STORE_FAULT` if it is not one of this geometry, or cannot be read. */
  static async open(
    dataFile: string,
    { geometry, bitfield }: { geometry: PieceGeometry; bitfield: Bitfield },
  ): Promise<SharedBlob> {
    try {
      const fd = await openFile(dataFile, constants.O_RDONLY | constants.O_NOFOLLOW);
      const blob = new SharedBlob(fd, geometry, bitfield);
      const found = await statFile(fd);
      if (found.isFile() && found.size === geometry.size) return blob;
      blob.close();
      throw new AppError('STORE_FAULT', { reason: 'this is not the data file of the blob' });
    } catch (error) {
      throw asDiskError(error, 'opening the data file of a blob failed');
    }
  }

  private constructor(fd: number, geometry: PieceGeometry, bitfield: Bitfield) {
    this.#fd = fd;
    this.geometry = geometry;
    this.bitfield = bitfield;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    demandVerified(this, offset, into.length);
    if (this.#isClosed) throw new AppError('STORE_CLOSED');
    this.#reads += 1;
    try {
      await readFully(this.#fd, into, offset);
    } catch (error) {
      throw asDiskError(error, 'reading a blob failed');
    } finally {
      this.#reads -= 1;
      this.#closeIfUnused();
    }
    demandVerified(this, offset, into.length);
  }

  /** Lets go of the file, after the reads that run. Safe to call twice. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    // A descriptor that is closed under a read may by then be another file's.
    if (!this.#isClosed || this.#reads > 0) return;
    // It frees the descriptor even when it reports a fault (close(2)).
    closeFile(this.#fd).catch(() => {});
  }
}
