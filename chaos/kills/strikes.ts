import type { SeededRandom } from '../../fuzz/random.ts';

/**
 * What is killed. `node`: front and engine at once, as a service manager or a power cut does. `front`: only the process that
 * the runtime talks to; its engine ends by itself. `tracker`: the seeder is in it.
 */
export const TARGETS = ['node', 'front', 'engine', 'tracker'] as const;
export type Target = (typeof TARGETS)[number];

/** One kill, and when it is due. */
export interface Strike {
  readonly target: Target;
  /** The node that is struck; for the tracker, the one whose pull says when. */
  readonly name: string;
  /** Once the pull on that node has brought so many bytes. */
  readonly atByte: number;
  /** The store of an engine is looked at before its front starts the next one; else it is started at once. */
  readonly isLookedAt: boolean;
}

/** Chance that a second thing is killed in the same pull: one in so many. */
const SECOND_ONE_IN = 3;
/** The last byte of an image at which something is killed, as a part of it: what comes later may find the pull over. */
const LAST_PART = 0.95;

/** The kills of one pull, at most `most`: each of another node, at a byte that the seed decides. */
export function planStrikes(
  random: SeededRandom,
  { names, imageBytes, most }: { names: readonly string[]; imageBytes: number; most: number },
): readonly Strike[] {
  const count = most > 1 && random.oneIn(SECOND_ONE_IN) ? 2 : 1;
  const [strikes, free]: [Strike[], string[]] = [[], [...names]];
  while (strikes.length < count) {
    const target = random.pick(TARGETS);
    if (target === 'tracker' && strikes.some((strike) => strike.target === 'tracker')) continue;
    const [name = ''] = free.splice(random.below(free.length), 1);
    const atByte = random.below(Math.floor(imageBytes * LAST_PART));
    strikes.push({ target, name, atByte, isLookedAt: random.oneIn(2) });
  }
  return strikes;
}
