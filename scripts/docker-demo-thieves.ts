/** Tries to steal a blob, as standard input says, and prints the outcome as JSON. Runs on a host of the Docker demo. */
import { text } from 'node:stream/consumers';
import { parseTrackerAddress } from '@sealift/pki';
import { type Loot, tryToSteal } from '../packages/cli/src/demo/theft.ts';

/** What thieves are told. On standard input, for it holds a credential. */
export interface StealRequest extends Omit<Loot, 'tracker'> {
  /** The tracker's address with the fingerprint of its CA. */
  readonly tracker: string;
  readonly tokenFile: string;
}

/** Longest time for all attempts, in ms: each is over within a few seconds, on a busy machine too. */
const TIMEOUT_MS = 45_000;

if (import.meta.main) {
  const { tracker, tokenFile, ...rest } = JSON.parse(await text(process.stdin)) as StealRequest;
  const { origin, fingerprint = '' } = parseTrackerAddress(tracker);
  const loot = { ...rest, tracker: { origin, fingerprint, tokenFile } };
  const refusals = await tryToSteal(loot, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  process.stdout.write(`${JSON.stringify(refusals)}\n`);
}
