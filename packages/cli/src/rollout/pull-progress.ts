/** Layers of one image that are counted, above what any builder makes (overlay2 mounts 128). */
const MAX_LAYERS = 1_024;
/** Longest reason for a failure that is kept, in characters. */
const MAX_REASON = 2_000;
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
  #failure: string | undefined;

  /** Takes one line, as JSON reads it. */
  apply(line: unknown): void {
    const fields = fieldsOf(line);
    if (fields === undefined) return;
    const failure = textOf(fields.get('error')) ?? textOf(fieldsOf(fields.get('errorDetail'))?.get('message'));
    if (failure !== undefined || fields.has('error') || fields.has('errorDetail')) {
      this.#failure ??= (failure ?? 'no reason given').slice(0, MAX_REASON);
      return;
    }
    const [id, status] = [textOf(fields.get('id')), textOf(fields.get('status'))];
    const isDone = status === undefined ? undefined : IS_DONE.get(status);
    if (id === undefined || isDone === undefined || id.length > 100) return;
    const layer = this.#layerOf(id);
    if (layer === undefined) return;
    layer.isDone = isDone;
    const detail = fieldsOf(fields.get('progressDetail'));
    if (status === 'Downloading') {
      layer.current = countOf(detail?.get('current')) ?? layer.current;
      layer.total = Math.max(layer.current, countOf(detail?.get('total')) ?? layer.total);
    } else if (status === 'Download complete' || status === 'Pull complete') layer.current = layer.total;
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
    return this.#count(({ isDone }) => (isDone ? 1 : 0));
  }

  /** Bytes that dockerd has downloaded, compressed. */
  get bytes(): number {
    return this.#count(({ current }) => current);
  }

  /** Bytes of the layers whose download has begun. */
  get totalBytes(): number {
    return this.#count(({ total }) => total);
  }

  #count(of: (layer: Layer) => number): number {
    return [...this.#layers.values()].reduce((sum, layer) => sum + of(layer), 0);
  }

  #layerOf(id: string): Layer | undefined {
    const known = this.#layers.get(id);
    if (known !== undefined || this.#layers.size === MAX_LAYERS) return known;
    const layer = { current: 0, total: 0, isDone: false };
    this.#layers.set(id, layer);
    return layer;
  }
}

function fieldsOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return new Map(Object.entries(value));
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
