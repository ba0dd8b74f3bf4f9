import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { demandEqualFiles, warmMemory } from '../harness/files.ts';
import { Party } from '../harness/party.ts';
import type { Payload } from '../harness/payload.ts';
import type { Contender } from '../harness/rounds.ts';
import type { Scope } from '../harness/scope.ts';
import { figuresOf, measureTransfer } from './transfer.ts';

/** What a side is told to open. */
export interface WebtorrentStart {
  readonly role: 'seed' | 'leech';
  readonly torrent: string;
  /** Where the file is, or goes. */
  readonly directory: string;
}

/** webtorrent over plain TCP, all discovery switched off. */
export function webtorrent(scope: Scope, { file, size }: Payload, { torrent }: { torrent: string }): Contender {
  const worker = path.join(import.meta.dirname, 'webtorrent-party.ts');
  const directory = path.join(scope.directory, 'webtorrent');
  return {
    name: 'webtorrent',
    measure: async () => {
      await warmMemory(scope.directory, size);
      await mkdir(directory, { recursive: true });
      const [seeder, leecher] = [Party.node(scope, worker), Party.node(scope, worker)];
      try {
        const seed: WebtorrentStart = { role: 'seed', torrent, directory: path.dirname(file) };
        const leech: WebtorrentStart = { role: 'leech', torrent, directory };
        const port = await seeder.ask<number>('start', seed);
        await leecher.ask('start', leech);
        const transfer = await measureTransfer({ seeder, leecher }, size, () => leecher.ask('download', { port }));
        await demandEqualFiles(file, path.join(directory, path.basename(file)));
        return figuresOf(transfer);
      } finally {
        await Promise.all([seeder.stop(), leecher.stop()]);
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}
