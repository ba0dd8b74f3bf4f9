import { parentPort, workerData } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import { CurrentInput } from './current-input.ts';
import { Fuzzer } from './fuzzer.ts';
import { catchStrays, type Fault } from './judge.ts';
import { SeededRandom } from './random.ts';
import { targetNamed } from './targets/all.ts';

/** What a thread is told. */
export interface ThreadOrder {
  readonly target: string;
  readonly seed: number;
  /** How long to go on, in ms. */
  readonly durationMs: number;
  readonly corpus: readonly Uint8Array[];
  readonly memory: SharedArrayBuffer;
  /** Say at the end which inputs are worth keeping. */
  readonly isMinimizing: boolean;
}

/** What a thread tells. */
export type ThreadReport =
  | { readonly type: 'progress'; readonly inputs: number; readonly blocks: number; readonly base: number }
  | { readonly type: 'kept'; readonly input: Uint8Array }
  | { readonly type: 'fault'; readonly input: Uint8Array; readonly fault: Fault }
  | { readonly type: 'minimal'; readonly inputs: readonly Uint8Array[] };

/** Time between two reports of progress, in ms. */
const REPORT_MS = 1_000;

const order = workerData as ThreadOrder;
const report = (message: ThreadReport): void => parentPort?.postMessage(message);
catchStrays();
const target = targetNamed(order.target);
await target.start?.();
const current = new CurrentInput(order.memory);
const coverage = new Coverage();
const fuzzer = new Fuzzer({
  target,
  random: new SeededRandom(order.seed),
  coverage,
  events: {
    current: (input) => current.set(input),
    kept: (input) => report({ type: 'kept', input: Uint8Array.from(input) }),
    fault: (input, fault) => report({ type: 'fault', input: Uint8Array.from(input), fault }),
  },
});
coverage.start();
const startedAt = performance.now();
let reportedAt = startedAt;
await fuzzer.seed(order.corpus);
while (performance.now() - startedAt < order.durationMs) {
  await fuzzer.runBatch();
  if (performance.now() - reportedAt < REPORT_MS) continue;
  reportedAt = performance.now();
  tellProgress();
}
tellProgress();
coverage.stop();
if (order.isMinimizing) {
  const fresh = new Coverage();
  fresh.start();
  report({ type: 'minimal', inputs: await fuzzer.minimize(fresh) });
  fresh.stop();
}

function tellProgress(): void {
  report({ type: 'progress', inputs: fuzzer.inputs, blocks: coverage.size, base: fuzzer.baseSize });
}
