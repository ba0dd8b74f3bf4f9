import { type Cipheriv, createCipheriv, createHash } from 'node:crypto';

/** What a layer is made of: bytes that look random and follow from a seed, so that each of them can be told from a false one. */
class LayerContent {
  readonly #cipher: Cipheriv;

  constructor(seed: string) {
    const key = createHash('sha256').update(seed).digest().subarray(0, 16);
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  }

  /** The next `length` bytes. */
  next(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length));
  }
}

/** Fills a layer. */
export function fillLayer(bytes: Buffer, seed: string): void {
  new LayerContent(seed).next(bytes.length).copy(bytes);
}

/** Holds the bytes of a layer against what they must be, as they come: also those of a body that is cut off later. */
export class LayerCheck {
  readonly #content: LayerContent;
  #isRight = true;

  constructor(seed: string) {
    this.#content = new LayerContent(seed);
  }

  /** No byte so far was false. */
  get isRight(): boolean {
    return this.#isRight;
  }

  take(chunk: Buffer): void {
    this.#isRight &&= this.#content.next(chunk.length).equals(chunk);
  }
}
