import { SingleBar } from 'cli-progress';

const MIB = 2 ** 20;
/** How much further the whole must be before a line of JSON says so, in percent. */
const PROGRESS_STEP = 10;

/** An image as it was resolved for one target. */
interface Resolved {
  readonly image: string;
  readonly digest: string;
  readonly target: string;
  readonly blobs: number;
  readonly bytes: number;
}

/** How far one blob is. */
interface BlobProgress {
  readonly target: string;
  readonly digest: string;
  readonly bytes: number;
  readonly size: number;
}

/** Whom a preheat tells how it goes. */
export interface PreheatReporter {
  resolved(resolved: Resolved): void;
  progress(progress: BlobProgress): void;
  /** A manifest that the target does not keep, so that pulls will ask the registry for it. */
  notKept(manifest: { readonly target: string; readonly path: string }): void;
  done(target: { readonly target: string; readonly blobs: number; readonly bytes: number }): void;
  /** Gives the terminal back. */
  stop(): void;
}

/** Adds up what the blobs of one target say. */
class Sum {
  readonly #bytes = new Map<string, number>();
  total = 0;

  take({ digest, bytes }: BlobProgress): void {
    const before = this.#bytes.get(digest) ?? 0;
    this.#bytes.set(digest, Math.max(before, bytes));
    this.total += Math.max(0, bytes - before);
  }
}

/** One JSON object to a line, for programs. */
export class JsonReporter implements PreheatReporter {
  readonly #print: (line: string) => void;
  #sum = new Sum();
  #bytes = 0;
  #shown = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  resolved(resolved: Resolved): void {
    this.#sum = new Sum();
    this.#bytes = resolved.bytes;
    this.#shown = 0;
    this.#event('resolved', resolved);
  }

  progress(progress: BlobProgress): void {
    this.#sum.take(progress);
    const percent = this.#bytes === 0 ? 100 : Math.floor((this.#sum.total / this.#bytes) * 100);
    if (percent < this.#shown + PROGRESS_STEP) return;
    this.#shown = percent;
    this.#event('progress', { target: progress.target, percent, bytes: this.#sum.total, totalBytes: this.#bytes });
  }

  notKept(manifest: { target: string; path: string }): void {
    this.#event('manifest_not_kept', manifest);
  }

  done(target: { target: string; blobs: number; bytes: number }): void {
    this.#event('done', target);
  }

  stop(): void {}

  #event(event: string, fields: object): void {
    this.#print(JSON.stringify({ event, ...fields }));
  }
}

/** A bar for each target, on a terminal. */
export class TerminalReporter implements PreheatReporter {
  readonly #output: NodeJS.WriteStream;
  #sum = new Sum();
  #bar: SingleBar | undefined;

  constructor(output: NodeJS.WriteStream) {
    this.#output = output;
  }

  resolved({ image, digest, target, blobs, bytes }: Resolved): void {
    this.#output.write(`${image} is ${digest}: ${blobs} blobs, ${(bytes / MIB).toFixed(1)} MiB, to ${target}\n`);
    this.#sum = new Sum();
    this.#bar = new SingleBar({
      stream: this.#output,
      format: '  {bar} {percentage}%  {said}',
      barCompleteChar: '█',
      barIncompleteChar: '░',
    });
    this.#bar.start(bytes, 0, { said: '' });
  }

  progress(progress: BlobProgress): void {
    this.#sum.take(progress);
    this.#bar?.update(this.#sum.total, { said: `${(this.#sum.total / MIB).toFixed(1)} MiB` });
  }

  notKept({ target, path }: { target: string; path: string }): void {
    this.#output.write(`${target} does not keep ${path}: pulls ask the registry for it\n`);
  }

  done({ target }: { target: string }): void {
    this.stop();
    this.#output.write(`  ${target} has it\n`);
  }

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
