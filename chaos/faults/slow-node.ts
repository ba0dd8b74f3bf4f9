import type { Fault } from '../fault.ts';
import type { Stage, StageImage } from '../stage.ts';

const MEGABITS = 100;
/** A round with and one without, several times: one figure of two busy cores says nothing. */
const ROUNDS = 4;
const LAYERS = [9_000_000];
/** Two minutes are what 9 MB take at 1 Mbit/s, and what TLS and TCP add, and as much again. */
const SLOW_TIMEOUT_MS = 240_000;
/** Longer than the others need, in ms. */
const BRIEF_MS = 6_000;
/** How much slower the others may be, as a part of one. */
const TOLERANCE = 0.05;

/** One node with 1 % of the others' bandwidth must cost the others nothing. */
export const slowNode: Fault = {
  name: 'slow-node',
  summary: "a node with 1 % of the others' bandwidth; the others must not be slower by more than 5 %",
  setting: { nodes: 4, uplinkMegabits: MEGABITS / 4 },
  play: async (stage) => {
    const [slow = '', ...others] = stage.names;
    const { network } = stage.cluster.testbed;
    for (const name of others) await network.shape(name, { up: MEGABITS, down: MEGABITS });
    await network.shape(slow, { up: MEGABITS / 100, down: MEGABITS / 100 });
    const [without, withIt]: [number[], number[]] = [[], []];
    for (let round = 1; round <= ROUNDS; round += 1) {
      without.push(await secondsOf(stage, await stage.publish(LAYERS), others));
      const image = await stage.publish(LAYERS);
      // Only the last one has the time that it needs.
      const slowPull = round === ROUNDS ? stage.pull(image, [slow], { timeoutMs: SLOW_TIMEOUT_MS }) : undefined;
      const given = slowPull ?? stage.attempt(image, slow, { timeoutMs: BRIEF_MS });
      withIt.push(await secondsOf(stage, image, others));
      await given;
    }
    const ratio = Math.min(...withIt) / Math.min(...without);
    stage.note('secondsWithout', Math.min(...without));
    stage.note('secondsWith', Math.min(...withIt));
    stage.note('ratio', ratio);
    stage.expect(ratio <= 1 + TOLERANCE, `the others are slower by ${Math.round((ratio - 1) * 100)} %`);
  },
};

async function secondsOf(stage: Stage, image: StageImage, names: readonly string[]): Promise<number> {
  const outcomes = await stage.pull(image, names);
  return Math.max(...outcomes.map(({ seconds }) => seconds));
}
