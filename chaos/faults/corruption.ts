import { open, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Fault } from '../fault.ts';
import type { Stage } from '../stage.ts';

/** What each piece has at least, so that none is left whole. */
const STEP = 64 * 1024;

/** Spoils all that a running node keeps, behind its back: it goes on to offer it as verified. */
async function spoil(stage: Stage, name: string): Promise<void> {
  const entries = await readdir(stage.node(name).data, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile() || entry.name !== 'data') continue;
    await using file = await open(path.join(entry.parentPath, entry.name), 'r+');
    const { size } = await file.stat();
    for (let offset = 0; offset < size; offset += STEP) await file.write(Buffer.from('spoilt'), 0, 6, offset);
  }
}

/** Real nodes as liars: certificates, grants and manners are right, only the bytes are not. */
export const corruptPeers: Fault = {
  name: 'corrupt-peers',
  summary: 'all nodes but one send false pieces; the last one fetches of them',
  play: async (stage) => {
    const image = await stage.publish();
    const [victim = '', ...liars] = stage.names;
    await stage.pull(image, liars);
    for (const liar of liars) await spoil(stage, liar);
    // The seeder is slow, so that the liars are asked.
    await stage.cluster.testbed.network.shape('tracker', { up: 20 });
    await stage.pull(image, [victim]);
    const rejected = stage.logged(victim, 'piece_rejected');
    const banned = new Set(stage.logged(victim, 'peer_banned').map((line) => line['nodeId']));
    stage.note('rejected', rejected.length);
    stage.note('banned', banned.size);
    stage.expect(rejected.length > 0, 'no false piece came');
    stage.expect(banned.size === liars.length, 'not every liar was banned');
    stage.expect((await stage.extraRegistryBytes()) <= 0, 'the registry was asked although the seeder was there');
  },
};
