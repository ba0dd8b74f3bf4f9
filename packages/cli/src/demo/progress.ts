import { MultiBar, type SingleBar } from 'cli-progress';

/** Shows how far each node is: bars on a terminal, a line now and then elsewhere. */
export class PullProgress {
  readonly #bars: MultiBar | undefined;
  readonly #nodes = new Map<string, { bar: SingleBar | undefined; bytes: number; shownPercent: number }>();
  readonly #totalBytes: number;
  readonly #write: (line: string) => void;

  constructor({
    nodes,
    totalBytes,
    output,
  }: {
    nodes: readonly string[];
    totalBytes: number;
    output: NodeJS.WriteStream;
  }) {
    this.#totalBytes = totalBytes;
    this.#write = (line) => output.write(`${line}\n`);
    if (output.isTTY) {
      this.#bars = new MultiBar({
        stream: output,
        format: '  {node}  {bar} {percentage}%  {mib} MiB',
        barCompleteChar: '█',
        barIncompleteChar: '░',
        clearOnComplete: false,
      });
    }
    for (const node of nodes) this.#open(node);
  }

  /** Adds `bytes` to what `node` has received. */
  add(node: string, bytes: number): void {
    const state = this.#nodes.get(node) ?? this.#open(node);
    state.bytes += bytes;
    state.bar?.update(state.bytes, { mib: (state.bytes / 2 ** 20).toFixed(1) });
    const percent = Math.floor((state.bytes / this.#totalBytes) * 100);
    if (state.bar !== undefined || percent < state.shownPercent + 25) return;
    state.shownPercent = percent - (percent % 25);
    this.#write(`  ${node}  ${state.shownPercent}%`);
  }

  stop(): void {
    this.#bars?.stop();
  }

  #open(node: string) {
    const state = { bar: this.#bars?.create(this.#totalBytes, 0, { node, mib: '0.0' }), bytes: 0, shownPercent: 0 };
    this.#nodes.set(node, state);
    return state;
  }
}
