/**
 * `node chaos/kill.ts [--times N] [--seed N] [--json]`: kills processes at random moments of running pulls. Exit status 1
 * means that a pull failed, that a store was not sound, or that verified bytes were fetched again.
 */
import { parseArgs } from 'node:util';
import { installMissingPackages } from '../bench/harness/testbed-parts.ts';
import { isClean } from './fault.ts';
import { kills } from './faults/kills.ts';
import { runFault } from './run-fault.ts';

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});
const [times, seed] = [Number(values.times), Number(values.seed)];
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(name)));
installMissingPackages({ say: (text: string) => console.error(text) });
const row = await runFault(kills(times), { nodes: 3, seed, signal: interrupted.signal });
console.log(JSON.stringify(row, undefined, values.json ? 0 : 2));
if (!isClean(row)) process.exitCode = 1;
