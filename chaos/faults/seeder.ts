import type { Fault } from '../fault.ts';
import { filter, PORTS, reset } from './cut.ts';

/** The seeder is gone, and the tracker goes on to name it. */
export const seederGone: Fault = {
  name: 'seeder-gone',
  summary: 'the seeder dies while it is still reading, the tracker stays',
  fitsDocker: true,
  play: async (stage) => {
    const { pulls } = await stage.midPull();
    await reset(stage.host('tracker'), PORTS.seeder);
    await pulls;
  },
};

/** A firewall between nodes and seeder, which the operator of the tracker does not know of: each blob of each image meets it. */
export const seederUnreachable: Fault = {
  name: 'seeder-unreachable',
  summary: "a firewall drops what is sent to the seeder's port; the tracker answers, and goes on to name it",
  fitsDocker: true,
  play: async (stage) => {
    await filter(stage.host('tracker'), ['-p', 'tcp', '--dport', `${PORTS.seeder}`, '-j', 'DROP']);
    await stage.pull(await stage.publish([4_000_000, 2_000_000]));
    const outcomes = await stage.pull(await stage.publish([4_000_000, 2_000_000, 2_000_000]));
    stage.note('secondPullSeconds', Math.max(...outcomes.map(({ seconds }) => seconds)));
  },
};
