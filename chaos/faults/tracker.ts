import type { Fault } from '../fault.ts';
import type { Stage } from '../stage.ts';

/** The tracker's process, and with it the seeder, ends at once. */
export const trackerKilled: Fault = {
  name: 'tracker-killed',
  summary: 'tracker and seeder are killed in mid-pull, and away for the next pull',
  fitsDocker: true,
  play: async (stage) => {
    const { pulls } = await stage.midPull();
    await stage.cluster.tracker.kill();
    await pulls;
    await stage.pull(await stage.publish([4_000_000]));
  },
};

/** Worse than an end: connections stay open and nobody answers. */
export const trackerFrozen: Fault = {
  name: 'tracker-frozen',
  summary: 'tracker and seeder are stopped (SIGSTOP) in mid-pull, and hang for the next pull',
  fitsDocker: true,
  play: async (stage) => {
    const { pid } = stage.cluster.tracker.service;
    const { pulls } = await stage.midPull();
    process.kill(pid, 'SIGSTOP');
    stage.defer(async () => process.kill(pid, 'SIGCONT'));
    await pulls;
    await stage.pull(await stage.publish([4_000_000]));
  },
};

/** The swarm table is memory: a tracker that comes back knows of nobody. */
export const trackerRestarted: Fault = {
  name: 'tracker-restarted',
  summary: 'tracker and seeder are killed in mid-pull and start again at once, with an empty swarm table',
  fitsDocker: true,
  play: (stage) => restart(stage, () => stage.cluster.tracker.kill()),
};

/** What an upgrade does: calls that run get their answers, and the nodes go on with the next one. */
export const trackerStopped: Fault = {
  name: 'tracker-stopped',
  summary: 'the tracker is asked to end (SIGTERM) in mid-pull and starts again, as an upgrade does',
  fitsDocker: true,
  play: (stage) => restart(stage, () => stage.cluster.tracker.stop()),
};

async function restart(stage: Stage, end: () => Promise<void>): Promise<void> {
  const { pulls } = await stage.midPull();
  await end();
  await stage.cluster.tracker.start();
  await pulls;
  const next = await stage.publish([4_000_000]);
  await stage.pull(next);
  const joined = stage.names.filter((name) => stage.logged(name, 'swarm_joined').length > 0);
  stage.expect(joined.length === stage.names.length, 'some nodes do not share after the restart');
}
