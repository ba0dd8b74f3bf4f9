import { fieldsOf } from '../json-fields.ts';

/** Layers of one image that are counted, above what any builder makes (overlay2 mounts 128). */
const MAX_LAYERS = 1_024;
/** Largest layer that is counted, in bytes: 4 TiB, so that the sum of all of them is an exact number. */
const MAX_LAYER_BYTES = 2 ** 42;
/** Longest reason for a failure that is kept, in characters: that of any line, for half a secret would not be found in it. */
const MAX_REASON = 64 * 1024;
/** States of a layer that dockerd tells of, and whether the layer is there after them. */
const IS_DONE: ReadonlyMap<string, boolean> = new Map([
  ['Pulling fs layer', false],
  ['Waiting', false],
  ['Downloading', false],
  ['Verifying Checksum', false],
  ['Download complete', false],
  ['Extracting', false],
  ['Pull complete', true],
  ['Already exists', true],
]);

interface Layer {
  current: number;
  total: number;
  isDone: boolean;
}

/**
 * How far one pull is, by the lines of a dockerd (Engine API, `POST /images/create`). They are a stranger's: what does not fit is
 * passed over, and what is kept has a bound.
 */
export class PullProgress {
  readonly #layers = new Map<string, Layer>();
  #layersDone = 0;
  #bytes = 0;
  #totalBytes = 0;
  #failure: string | undefined;

  /** Takes one line, as JSON reads it. */
  apply(line: unknown): void {
    const fields = fieldsOf(line);
    const failure = textOf(fields.get('error')) ?? textOf(fieldsOf(fields.get('errorDetail')).get('message'));
    if (failure !== undefined || fields.has('error') || fields.has('errorDetail')) {
      this.#failure ??= (failure ?? 'no reason given').slice(0, MAX_REASON);
      return;
    }
    const [id, status] = [textOf(fields.get('id')), textOf(fields.get('status'))];
    const isDone = status === undefined ? undefined : IS_DONE.get(status);
    if (id === undefined || isDone === undefined || id.length > 100) return;
    const layer = this.#layerOf(id);
    if (layer === undefined) return;
    this.#count(layer, -1);
    layer.isDone = isDone;
    const detail = fieldsOf(fields.get('progressDetail'));
    if (status === 'Downloading') {
      layer.current = countOf(detail.get('current')) ?? layer.current;
      layer.total = Math.max(layer.current, countOf(detail.get('total')) ?? layer.total);
    } else if (status === 'Download complete' || status === 'Pull complete') layer.current = layer.total;
    this.#count(layer, 1);
  }

  /** Why the pull has failed, in dockerd's words; it says so in the stream, under status 200. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get layers(): number {
    return this.#layers.size;
  }

  /** Layers that are unpacked, or were there before. */
  get layersDone(): number {
    return this.#layersDone;
  }

  /** Bytes that dockerd has downloaded, compressed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Bytes of the layers whose download has begun. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  // Kept up to date instead of added up at each line: a line has a few bytes, and an image may have a thousand layers.
  #count({ current, total, isDone }: Layer, times: 1 | -1): void {
    this.#bytes += times * current;
    this.#totalBytes += times * total;
    if (isDone) this.#layersDone += times;
  }

  #layerOf(id: string): Layer | undefined {
    const known = this.#layers.get(id);
    if (known !== undefined || this.#layers.size === MAX_LAYERS) return known;
    const layer = { current: 0, total: 0, isDone: false };
    this.#layers.set(id, layer);
    return layer;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_LAYER_BYTES
    ? value
    : undefined;
}
