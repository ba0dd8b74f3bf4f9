import { setFlagsFromString } from 'node:v8';

/** The heap may grow by so much from one full collection to the next, in per cent of what that one left. */
const GROWTH = '--heap-growing-percent=100';

/**
 * Arguments of Node for an engine, see {@link fitHeapToBuffers}. Half of its young generation has 4 MiB at most: a size that
 * can be chosen only where a process is started, and from which V8 also reckons how early to collect everything.
 */
export const ENGINE_HEAP_ARGS: readonly string[] = ['--max-semi-space-size=4', GROWTH];

/**
 * Fits V8's heap to a process through which megabytes pass in buffers outside of it, each behind a few bytes in it. Left
 * alone, V8 sees their memory grow and collects everything, dozens of times a minute, at 30 to 100 ms of CPU time each.
 *
 * The young generation stays as small as it is, some 4 MiB where the command line has just been read, and 16 or 32 later:
 * it is collected often, for some ms, and lets the buffers go. And no full collection comes before the heap, buffers
 * counted, has doubled: V8 itself would choose less in a process with so little to do between two collections.
 */
export function fitHeapToBuffers(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString(GROWTH);
}
