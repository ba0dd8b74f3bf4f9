import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Fault } from '../fault.ts';
import type { Stage } from '../stage.ts';

const DISK_MIB = 8;

/** Gives a host a small disk of its own for the data of its node, and starts the node on it. */
async function restartOnSmallDisk(stage: Stage, name: string): Promise<string> {
  await stage.node(name).stop();
  const directory = path.join(stage.host(name).directory, 'node');
  await mkdir(directory, { recursive: true });
  await stage.mount(['-t', 'tmpfs', '-o', `size=${DISK_MIB}m,mode=700`, 'tmpfs', directory]);
  await stage.startNode(name);
  return directory;
}

/** The image is larger than the disk. */
export const diskFull: Fault = {
  name: 'disk-full',
  summary: "a node's disk is full in mid-pull",
  play: async (stage) => {
    await restartOnSmallDisk(stage, 'n1');
    const image = await stage.publish();
    await stage.pull(image);
    await stage.pull(image, ['n1']);
    const events = ['store_disk_failed', 'store_write_failed', 'store_unavailable'];
    // As an operator would see it, who does not look at the debug log.
    const said = events.flatMap((event) => stage.logged('n1', event)).filter(({ level }) => level !== 'debug');
    stage.note('logLines', said.length);
    stage.expect(said.length > 0, 'nothing was logged');
    stage.expect(said.length <= 10, 'the log is flooded');
  },
};

/** What the kernel does to a disk with errors. */
export const diskReadOnly: Fault = {
  name: 'disk-read-only',
  summary: "a node's disk is read-only when the node starts again",
  play: async (stage) => {
    const directory = await restartOnSmallDisk(stage, 'n1');
    const image = await stage.publish([4_000_000]);
    await stage.pull(image);
    await stage.node('n1').stop();
    await stage.remount(directory, 'ro');
    await stage.startNode('n1');
    await stage.pull(image);
    await stage.pull(await stage.publish([2_000_000]));
    stage.expect(stage.logged('n1', 'store_unavailable').length === 1, 'it was not logged once');
  },
};
