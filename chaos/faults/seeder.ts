import type { Fault } from '../fault.ts';
import { PORTS, reset } from './cut.ts';

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
