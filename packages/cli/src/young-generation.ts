import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the young generation of this process as small as it is: some 4 MiB where the command line has just been read, 16
 * or 32 later. What passes through us are megabytes in buffers outside of the heap, each behind a few bytes in it. A large
 * young generation fills so slowly that V8 sees their memory grow and collects everything instead, at 10 to 100 ms a time;
 * a small one is collected often, for less than 1 ms, and lets them go.
 */
export function keepYoungGenerationSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
