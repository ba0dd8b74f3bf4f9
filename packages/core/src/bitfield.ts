import { AppError } from './errors.ts';

/** A set of piece indexes, stored as BEP 3 sends it: the high bit of the first byte is piece 0, spare bits are zero. */
export class Bitfield {
  readonly length: number;
  readonly #bytes: Uint8Array;
  #count = 0;

  constructor(length: number) {
    this.length = length;
    this.#bytes = new Uint8Array(Math.ceil(length / 8));
  }

  /** Reads the wire form; throws `FRAME_INVALID` on a wrong length or a spare bit that is set (BEP 3). */
  static fromBytes(bytes: Uint8Array, length: number): Bitfield {
    const bitfield = new Bitfield(length);
    if (bytes.length !== bitfield.#bytes.length) {
      throw new AppError('FRAME_INVALID', { reason: 'bitfield of a wrong length', length: bytes.length });
    }
    bitfield.#bytes.set(bytes);
    const spareBits = bytes.length * 8 - length;
    if (spareBits > 0 && ((bytes.at(-1) ?? 0) & ((1 << spareBits) - 1)) !== 0) {
      throw new AppError('FRAME_INVALID', { reason: 'bitfield with a spare bit set' });
    }
    for (let index = 0; index < length; index += 1) if (bitfield.has(index)) bitfield.#count += 1;
    return bitfield;
  }

  /** How many indexes are in the set. */
  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === this.length;
  }

  /** Whether `index` is in the set; `false` for what is no index of it. */
  has(index: number): boolean {
    return (
      Number.isInteger(index) &&
      index >= 0 &&
      index < this.length &&
      ((this.#bytes[index >> 3] ?? 0) & (0x80 >> (index & 7))) !== 0
    );
  }

  /** Adds `index`; `false` if it was in the set already. */
  add(index: number): boolean {
    this.#check(index);
    if (this.has(index)) return false;
    const byte = index >> 3;
    this.#bytes[byte] = (this.#bytes[byte] ?? 0) | (0x80 >> (index & 7));
    this.#count += 1;
    return true;
  }

  /** Takes `index` out; `false` if it was not in the set. */
  delete(index: number): boolean {
    this.#check(index);
    if (!this.has(index)) return false;
    const byte = index >> 3;
    this.#bytes[byte] = (this.#bytes[byte] ?? 0) & ~(0x80 >> (index & 7));
    this.#count -= 1;
    return true;
  }

  /** The first index at or after `from` that is not in the set; `length` if there is none. */
  firstMissing(from = 0): number {
    let index = Math.max(0, from);
    while (index < this.length) {
      if ((index & 7) === 0 && this.#bytes[index >> 3] === 0xff) index += 8;
      else if (this.has(index)) index += 1;
      else return index;
    }
    return this.length;
  }

  /** A copy in wire form. */
  toBytes(): Buffer {
    return Buffer.from(this.#bytes);
  }

  #check(index: number): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.length) {
      throw new AppError('FRAME_INVALID', { reason: 'piece index out of range', index });
    }
  }
}
