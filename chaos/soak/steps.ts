import { rm } from 'node:fs/promises';
import { storeDirectory } from '../../packages/cli/src/store-directory.ts';
import { PORTS, reset } from '../faults/cut.ts';
import type { Stage, StageImage } from '../stage.ts';

/** One thing that happens in a soak. It leaves everything running and whole. */
export interface Step {
  readonly name: string;
  /** Processes that it ends are no longer there to be watched, so it happens in the first part only. @default false */
  readonly isEarly?: boolean;
  readonly play: (stage: Stage, what: { image: StageImage; names: readonly string[] }) => Promise<void>;
}

/** Longest time that something stays broken, in ms. */
const MAX_BROKEN_MS = 4_000;

/** The node whose processes nothing happens to, so that what they hold can be watched from the start to the end. */
export function steadyNode({ names }: Stage): string {
  return names[0] ?? '';
}

function pickVictim(stage: Stage): string {
  return stage.random.pick(stage.names.filter((name) => name !== steadyNode(stage)));
}

const pull: Step = {
  name: 'pull',
  play: async (stage, { image, names }) => {
    await stage.pull(image, names);
  },
};

/** Breaks something in mid-pull of the others, for a while. */
function broken(name: string, break_: (stage: Stage, victim: string) => Promise<() => Promise<unknown>>): Step {
  return {
    name,
    play: async (stage, { image, names }) => {
      const victim = pickVictim(stage);
      const pulls = stage.pull(image, names);
      await stage.pause(stage.random.below(500));
      const mend = await break_(stage, victim);
      await stage.pause(stage.random.below(MAX_BROKEN_MS));
      await mend();
      await pulls;
    },
  };
}

/** Stops or kills a node while others pull, and starts it again. Nobody pulls through a node that is away. */
function restarted(
  name: string,
  signal: NodeJS.Signals,
  between: (stage: Stage, victim: string) => Promise<void>,
): Step {
  return {
    name,
    play: async (stage, { image }) => {
      const victim = pickVictim(stage);
      const pulls = stage.pull(
        image,
        stage.names.filter((other) => other !== victim),
      );
      await stage.pause(stage.random.below(500));
      await stage.node(victim).service.stop({ signal });
      await between(stage, victim);
      await stage.startNode(victim);
      await pulls;
      await stage.pull(image, [victim]);
    },
  };
}

const engineKilled = broken('engine-killed', async (stage, victim) => {
  for (const pid of stage.enginePids(victim)) process.kill(pid, 'SIGKILL');
  return () => stage.engineRuns(victim);
});

const nodeFrozen = broken('engine-frozen', async (stage, victim) => {
  const pids = stage.enginePids(victim);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  return async () => {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  };
});

const linkCut = broken('link-cut', async (stage) => {
  const { network } = stage.cluster.testbed;
  await network.cut('tracker');
  return () => network.restore('tracker');
});

const seederAway = broken('seeder-away', (stage) => reset(stage.host('tracker'), PORTS.seeder));

const peerAway = broken('peer-away', (stage, victim) => reset(stage.host(victim), PORTS.peer));

const trackerKilled = broken('tracker-killed', async (stage) => {
  await stage.cluster.tracker.kill();
  return () => stage.cluster.tracker.start();
});

/** What soaks are made of. Plain pulls are the most frequent. */
export const STEPS: readonly Step[] = [
  pull,
  pull,
  pull,
  restarted('node-stopped', 'SIGTERM', async () => {}),
  restarted('node-killed', 'SIGKILL', async () => {}),
  restarted('store-deleted', 'SIGTERM', async (stage, victim) => {
    await rm(storeDirectory(stage.node(victim)), { recursive: true });
  }),
  engineKilled,
  nodeFrozen,
  linkCut,
  seederAway,
  peerAway,
  { ...trackerKilled, isEarly: true },
];
