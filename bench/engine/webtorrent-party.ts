import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import WebTorrent from 'webtorrent';
import { answerQuestions } from '../harness/party-side.ts';
import type { WebtorrentStart } from './webtorrent.ts';

const client = new WebTorrent({
  dht: false,
  tracker: false,
  lsd: false,
  utp: false,
  webSeeds: false,
  natUpnp: false,
  natPmp: false,
  utPex: false,
});
let torrent: ReturnType<typeof client.add> | undefined;

answerQuestions({
  start: async ({ role, torrent: file, directory }: WebtorrentStart) => {
    // The seeder trusts its file, as ours trusts its store.
    torrent = client.add(await readFile(file), { path: directory, skipVerify: role === 'seed' });
    if (!torrent.ready) await once(torrent, 'ready');
    if (!client.listening) await once(client, 'listening');
    return client.torrentPort;
  },
  download: async ({ port }: { port: number }) => {
    const done = torrent === undefined ? undefined : once(torrent, 'done');
    torrent?.addPeer(`127.0.0.1:${port}`);
    await done;
  },
});
