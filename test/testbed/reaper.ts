/**
 * `node reaper.ts <run name>`: waits until its standard input ends, which is when the test process closes it or dies,
 * by whatever signal, and then removes all that is left of the run. It says on standard output what it could not remove.
 */
import { runNameOf } from './run-name.ts';
import { sweepRun } from './sweep.ts';

const runName = runNameOf(process.argv[2] ?? '');
if (runName === undefined) throw new Error('usage: reaper.ts <run name>');
// The reader of our output may be the one who died.
process.stdout.on('error', () => {});
process.stdin.resume();
process.stdin.once('close', async () => {
  try {
    await sweepRun(runName);
  } catch (error) {
    process.exitCode = 1;
    process.stdout.write(`${error instanceof Error ? error.stack : error}\n`);
  }
});
