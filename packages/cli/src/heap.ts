import { setFlagsFromString } from 'node:v8';

/**
 * Arguments of Node for an engine, through which more passes than through any other process. Half of its young generation
 * has 4 MiB at most: a size that can be chosen only where a process is started, and from which V8 also reckons how early to
 * collect everything. And no full collection comes before the heap, buffers counted, has doubled: V8 itself would choose
 * less in a process with so little to do between two collections, and make eight of them in each pull of 64 MB.
 */
export const ENGINE_HEAP_ARGS: readonly string[] = ['--max-semi-space-size=4', '--heap-growing-percent=100'];

/**
 * Keeps the young generation of this process as small as it is: some 4 MiB where the command line has just been read, 16
 * or 32 later. What passes through us are megabytes in buffers outside of the heap, each behind a few bytes in it. A large
 * young generation fills so slowly that V8 sees their memory grow and collects everything instead, at 10 to 100 ms a time;
 * a small one is collected often, for less than 1 ms, and lets them go.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
