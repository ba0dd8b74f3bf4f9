import { Worker } from 'node:worker_threads';
import { CurrentInput } from './current-input.ts';
import type { ThreadOrder, ThreadReport } from './fuzz-thread.ts';
import type { Fault } from './judge.ts';

/** Silence after which a thread counts as hung, in ms: a hundred times what one input may take. */
const HANG_MS = 10_000;
const WATCH_MS = 500;
/** Heap of a fuzzing thread, in MiB: many times what a service needs for one connection. */
const MAX_HEAP_MIB = 512;

/** How far the fuzzing of one target has come. */
export interface Progress {
  readonly inputs: number;
  /** Blocks of our code that were reached. */
  readonly blocks: number;
  /** Inputs that reached something new. */
  readonly corpus: number;
}

/** How {@link fuzzTarget} tells what happens. */
export interface CampaignEvents {
  progress(progress: Progress): void;
  fault(input: Uint8Array, fault: Fault): void;
}

/** What is known of a target after its time. */
export interface TargetResult extends Progress {
  /** The inputs that suffice to reach all of it; only where asked for. */
  readonly minimal: readonly Uint8Array[];
}

/**
 * Fuzzes one target for `durationMs` in a thread of its own. A thread that hangs or dies is a fault of the input that it
 * worked on; another one goes on in its place, with another seed.
 */
export async function fuzzTarget(
  order: Omit<ThreadOrder, 'memory'>,
  { signal, events }: { signal: AbortSignal; events: CampaignEvents },
): Promise<TargetResult> {
  const corpus = [...order.corpus];
  let done: TargetResult = { inputs: 0, blocks: 0, corpus: 0, minimal: [] };
  const endsAt = performance.now() + order.durationMs;
  for (let round = 0; !signal.aborted; round += 1) {
    const durationMs = endsAt - performance.now();
    if (round > 0 && durationMs <= 0) break;
    const before = done.inputs;
    const end = await runThread(
      { ...order, seed: order.seed + round, durationMs, corpus },
      {
        signal,
        onReport: (message) => {
          if (message.type === 'kept') corpus.push(message.input);
          if (message.type === 'minimal') done = { ...done, minimal: message.inputs };
          if (message.type === 'fault') events.fault(message.input, message.fault);
          if (message.type !== 'progress') return;
          done = { ...done, inputs: before + message.inputs, blocks: message.blocks, corpus: message.base };
          events.progress(done);
        },
      },
    );
    if (end === undefined) break;
    events.fault(end.input, end.fault);
  }
  return done;
}

/** Runs one thread to its end. `undefined` if that was a good one. */
async function runThread(
  order: Omit<ThreadOrder, 'memory'>,
  { signal, onReport }: { signal: AbortSignal; onReport: (message: ThreadReport) => void },
): Promise<{ input: Uint8Array; fault: Fault } | undefined> {
  const current = new CurrentInput();
  const worker = new Worker(new URL('fuzz-thread.ts', import.meta.url), {
    workerData: { ...order, memory: current.memory } satisfies ThreadOrder,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  });
  const ended = Promise.withResolvers<Fault | undefined>();
  worker.on('message', onReport);
  worker.once('error', (error) => ended.resolve({ kind: 'crash', text: String(error.stack ?? error) }));
  worker.once('exit', () => ended.resolve(undefined));
  const stop = (): void => ended.resolve(undefined);
  signal.addEventListener('abort', stop, { once: true });
  const unwatch = watch(current, () => ended.resolve({ kind: 'hang', text: `no end after ${HANG_MS} ms` }));
  const fault = await ended.promise;
  unwatch();
  signal.removeEventListener('abort', stop);
  const input = current.get();
  await worker.terminate();
  return fault === undefined ? undefined : { input, fault };
}

function watch(current: CurrentInput, onHang: () => void): () => void {
  let last = current.sequence;
  let movedAt = performance.now();
  const timer = setInterval(() => {
    if (current.sequence !== last) {
      last = current.sequence;
      movedAt = performance.now();
      // Before the first input a thread makes keys and loads code.
    } else if (last > 0 && performance.now() - movedAt >= HANG_MS) {
      onHang();
    }
  }, WATCH_MS);
  return () => clearInterval(timer);
}
