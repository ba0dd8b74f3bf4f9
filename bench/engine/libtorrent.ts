import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { demandEqualFiles, warmMemory } from '../harness/files.ts';
import { freePort } from '../harness/free-port.ts';
import { Party } from '../harness/party.ts';
import type { Payload } from '../harness/payload.ts';
import type { Contender } from '../harness/rounds.ts';
import type { Scope } from '../harness/scope.ts';
import { DEBIAN_PYTHON } from '../harness/system-parts.ts';
import type { SslTorrentMember } from './ssl-torrent.ts';
import { figuresOf, measureTransfer } from './transfer.ts';

/** libtorrent, in clear or as an SSL torrent with a certificate for each side. */
export function libtorrent(
  scope: Scope,
  { file, size }: Payload,
  { torrent, tls }: { torrent: string; tls?: { seeder: SslTorrentMember; leecher: SslTorrentMember } },
): Contender {
  const script = path.join(import.meta.dirname, 'libtorrent_party.py');
  const directory = path.join(scope.directory, 'libtorrent');
  return {
    name: tls === undefined ? 'libtorrent-plain' : 'libtorrent-ssl',
    measure: async () => {
      await warmMemory(scope.directory, size);
      await mkdir(directory, { recursive: true });
      const [seeder, leecher] = [
        Party.command(scope, DEBIAN_PYTHON, [script]),
        Party.command(scope, DEBIAN_PYTHON, [script]),
      ];
      try {
        const start = async (party: Party, role: 'seed' | 'leech'): Promise<number> =>
          await party.ask('start', {
            role,
            torrent,
            directory: role === 'seed' ? path.dirname(file) : directory,
            port: await freePort(),
            tls: role === 'seed' ? tls?.seeder : tls?.leecher,
          });
        const port = await start(seeder, 'seed');
        await start(leecher, 'leech');
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
