import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseLogLine } from '../../test/testbed/service.ts';
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

/** Takes all the room that is left; resolves with the file that holds it. */
async function fill(directory: string): Promise<string> {
  const file = path.join(directory, 'fill');
  // Cut short where the disk ends.
  await writeFile(file, Buffer.alloc(2 * DISK_MIB * 1024 * 1024)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOSPC') throw error;
  });
  return file;
}

/** Moves a directory to a small disk of its own, with all that is in it. */
async function moveToSmallDisk(stage: Stage, directory: string, { mode }: { mode: string }): Promise<void> {
  const copy = `${directory}-copy`;
  await cp(directory, copy, { recursive: true });
  await stage.mount(['-t', 'tmpfs', '-o', `size=${2 * DISK_MIB}m,mode=${mode}`, 'tmpfs', directory]);
  await cp(copy, directory, { recursive: true });
}

/** Longer than a disk that has refused a write is left alone, in ms. */
const DISK_PAUSE_MS = 11_000;

/** Database, audit log and seeder share a disk: who may pull must not depend on it. */
export const trackerDiskFull: Fault = {
  name: 'tracker-disk-full',
  summary: "the tracker's disk is full for a pull and a restarted node, and has room again for the next pull",
  play: async (stage) => {
    const { tracker } = stage.cluster;
    await tracker.stop();
    await moveToSmallDisk(stage, tracker.data, { mode: '700' });
    await tracker.start();
    const filler = await fill(tracker.data);
    await stage.pull(await stage.publish([4_000_000]));
    await stage.node('n1').stop();
    await stage.startNode('n1');
    await stage.pull(await stage.publish([4_000_000]));
    const said = tracker.service.lines.filter((line) => parseLogLine(line)?.event === 'audit_failed');
    stage.expect(said.length === 1, `it was logged ${said.length} times`);
    await rm(filler);
    await stage.pause(DISK_PAUSE_MS);
    const before = await stage.extraRegistryBytes();
    const [, ...enrolled] = stage.names;
    await stage.pull(await stage.publish([4_000_000]), enrolled);
    stage.expect((await stage.extraRegistryBytes()) <= before, 'nothing is shared although there is room again');
  },
};

/** What a full root file system does to a node that comes up: dockerd must get through, for it has no second proxy. */
export const trustDiskFull: Fault = {
  name: 'trust-disk-full',
  summary: 'the disk with the trust files of the runtime is full when a node starts',
  play: async (stage) => {
    await stage.node('n1').stop();
    // Its parent is what a process of the host gets to see.
    const { certificatesDirectory } = stage.host('n1');
    const etc = path.dirname(certificatesDirectory);
    await moveToSmallDisk(stage, etc, { mode: '755' });
    const filler = await fill(etc);
    await stage.startNode('n1');
    await stage.pull(await stage.publish([4_000_000]));
    stage.expect(stage.logged('n1', 'trust_failed').length === 1, 'it was not logged once');
    await rm(filler);
    // No pull after it: the client was started before the mount and sees the directory below.
    await stage.node('n1').service.waitForEvent('trust_written');
  },
};
