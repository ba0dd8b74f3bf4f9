import type { Fault } from '../fault.ts';
import type { Stage } from '../stage.ts';

const MEGABITS = 100;
/** A round with and one without, several times: one figure of two busy cores says nothing. */
const ROUNDS = 3;
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
    for (let round = 0; round < ROUNDS; round += 1) {
      without.push(await seconds(stage, others));
      const { slowPull, took } = await secondsBeside(stage, slow, others);
      withIt.push(took);
      await slowPull;
    }
    const ratio = Math.min(...withIt) / Math.min(...without);
    stage.note('secondsWithout', Math.min(...without));
    stage.note('secondsWith', Math.min(...withIt));
    stage.note('ratio', ratio);
    stage.expect(ratio <= 1 + TOLERANCE, `the others are slower by ${Math.round((ratio - 1) * 100)} %`);
  },
};

async function seconds(stage: Stage, names: readonly string[]): Promise<number> {
  const outcomes = await stage.pull(await stage.publish([6_000_000]), names);
  return Math.max(...outcomes.map(({ seconds: took }) => took));
}

async function secondsBeside(stage: Stage, slow: string, others: readonly string[]) {
  const image = await stage.publish([6_000_000]);
  // It begins with the others, and ends a minute after them.
  const slowPull = stage.pull(image, [slow]);
  const outcomes = await stage.pull(image, others);
  return { slowPull, took: Math.max(...outcomes.map(({ seconds: took }) => took)) };
}
