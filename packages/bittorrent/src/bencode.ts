import { AppError } from '@sealift/core';

/** A decoded bencode value (BEP 3). Dictionaries are maps, so that no key of a stranger can reach a prototype. */
export type BencodeValue = number | Uint8Array | readonly BencodeValue[] | ReadonlyMap<string, BencodeValue>;

/** What {@link encodeBencode} takes: text too, which goes out as UTF-8. */
export type BencodeInput = number | string | Uint8Array | readonly BencodeInput[] | ReadonlyMap<string, BencodeInput>;

/** Bounds of one decoding. Each guards memory or stack against a stranger's input. */
export interface BencodeLimits {
  /** Longest input, in bytes. @default 8192, the longest extended handshake */
  readonly maxBytes?: number;
  /** Deepest nesting of lists and dictionaries. @default 8; what we read ourselves nests 3 deep */
  readonly maxDepth?: number;
  /** Most values in all, keys not counted: two bytes of input can make an object of a hundred. @default 1024 */
  readonly maxValues?: number;
}

const DEFAULT_LIMITS: Required<BencodeLimits> = { maxBytes: 8192, maxDepth: 8, maxValues: 1024 };

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const MINUS = 0x2d;
const LETTER_D = 0x64;
const LETTER_E = 0x65;
const LETTER_I = 0x69;
const LETTER_L = 0x6c;
/** Digits of the largest safe integer; a longer number cannot be held exactly. */
const MAX_DIGITS = 16;

/**
 * Encodes canonically: keys as latin1 and sorted by byte, integers without sign or zero in front. Throws
 * `BENCODE_INVALID` for a number that is not a safe integer and for a key outside latin1.
 */
export function encodeBencode(value: BencodeInput): Buffer {
  const parts: Uint8Array[] = [];
  encodeInto(parts, value);
  return Buffer.concat(parts);
}

/**
 * Decodes exactly one canonical value that fills `bytes`; anything else throws `BENCODE_INVALID`. Because only the
 * canonical form is accepted, encoding the result gives `bytes` again. Byte strings are views of `bytes`, not copies.
 */
export function decodeBencode(bytes: Uint8Array, limits: BencodeLimits = {}): BencodeValue {
  const { maxBytes, maxDepth, maxValues } = { ...DEFAULT_LIMITS, ...limits };
  if (bytes.length > maxBytes) throw invalid('too long', bytes.length);
  const reader = new Reader(bytes, maxDepth, maxValues);
  const value = reader.value(0);
  reader.expectEnd();
  return value;
}

function encodeInto(parts: Uint8Array[], value: BencodeInput): void {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new AppError('BENCODE_INVALID', { reason: 'not a safe integer' });
    parts.push(Buffer.from(`i${value}e`, 'latin1'));
  } else if (typeof value === 'string') {
    pushBytes(parts, Buffer.from(value, 'utf8'));
  } else if (value instanceof Uint8Array) {
    pushBytes(parts, value);
  } else if (isList(value)) {
    parts.push(Buffer.from('l'));
    for (const item of value) encodeInto(parts, item);
    parts.push(Buffer.from('e'));
  } else {
    parts.push(Buffer.from('d'));
    for (const key of [...value.keys()].sort(byCodeUnit)) {
      pushBytes(parts, encodeKey(key));
      encodeInto(parts, value.get(key) as BencodeInput);
    }
    parts.push(Buffer.from('e'));
  }
}

function pushBytes(parts: Uint8Array[], bytes: Uint8Array): void {
  parts.push(Buffer.from(`${bytes.length}:`, 'latin1'), bytes);
}

function encodeKey(key: string): Buffer {
  const bytes = Buffer.from(key, 'latin1');
  if (bytes.toString('latin1') !== key) throw new AppError('BENCODE_INVALID', { reason: 'key outside latin1' });
  return bytes;
}

// For latin1 text the order of code units is the order of bytes that BEP 3 asks for.
function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : 1;
}

// Array.isArray does not narrow a readonly array out of a union.
function isList(value: BencodeInput): value is readonly BencodeInput[] {
  return Array.isArray(value);
}

class Reader {
  readonly #bytes: Buffer;
  readonly #maxDepth: number;
  #valuesLeft: number;
  #at = 0;

  constructor(bytes: Uint8Array, maxDepth: number, maxValues: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#maxDepth = maxDepth;
    this.#valuesLeft = maxValues;
  }

  value(depth: number): BencodeValue {
    this.#valuesLeft -= 1;
    if (this.#valuesLeft < 0) throw this.#invalid('too many values');
    const first = this.#bytes[this.#at];
    if (first === LETTER_I) return this.#integer();
    if (first !== LETTER_L && first !== LETTER_D) return this.#string();
    if (depth >= this.#maxDepth) throw this.#invalid('nested too deep');
    this.#at += 1;
    return first === LETTER_L ? this.#list(depth) : this.#dictionary(depth);
  }

  expectEnd(): void {
    if (this.#at !== this.#bytes.length) throw this.#invalid('bytes after the value');
  }

  #list(depth: number): readonly BencodeValue[] {
    const items: BencodeValue[] = [];
    while (!this.#skip(LETTER_E)) items.push(this.value(depth + 1));
    return items;
  }

  #dictionary(depth: number): ReadonlyMap<string, BencodeValue> {
    const entries = new Map<string, BencodeValue>();
    let last: string | undefined;
    while (!this.#skip(LETTER_E)) {
      const key = this.#string().toString('latin1');
      if (last !== undefined && key <= last) throw this.#invalid('keys not unique and sorted');
      last = key;
      entries.set(key, this.value(depth + 1));
    }
    return entries;
  }

  #integer(): number {
    this.#at += 1;
    const isNegative = this.#skip(MINUS);
    const magnitude = this.#digits();
    if (!this.#skip(LETTER_E)) throw this.#invalid('integer without end');
    if (isNegative && magnitude === 0) throw this.#invalid('minus zero');
    return isNegative ? -magnitude : magnitude;
  }

  #string(): Buffer {
    const length = this.#digits();
    if (!this.#skip(COLON)) throw this.#invalid('string length without colon');
    const start = this.#at;
    if (length > this.#bytes.length - start) throw this.#invalid('string longer than the input');
    this.#at = start + length;
    return this.#bytes.subarray(start, this.#at);
  }

  /** An unsigned decimal number, without a zero in front (BEP 3). */
  #digits(): number {
    const start = this.#at;
    let number = 0;
    for (
      let digit = this.#bytes[this.#at] ?? 0;
      digit >= DIGIT_0 && digit <= DIGIT_9;
      digit = this.#bytes[this.#at] ?? 0
    ) {
      number = number * 10 + (digit - DIGIT_0);
      this.#at += 1;
      if (this.#at - start > MAX_DIGITS) throw this.#invalid('number too large');
    }
    const length = this.#at - start;
    if (length === 0) throw this.#invalid('neither number nor value');
    if (length > 1 && this.#bytes[start] === DIGIT_0) throw this.#invalid('zero in front of a number');
    if (!Number.isSafeInteger(number)) throw this.#invalid('number too large');
    return number;
  }

  #skip(letter: number): boolean {
    if (this.#bytes[this.#at] !== letter) return false;
    this.#at += 1;
    return true;
  }

  #invalid(reason: string): AppError {
    return invalid(reason, this.#at);
  }
}

function invalid(reason: string, at: number): AppError {
  return new AppError('BENCODE_INVALID', { reason, at });
}
