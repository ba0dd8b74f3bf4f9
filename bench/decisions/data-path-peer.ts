// One end of a transfer, by webtorrent or by a bare mutual-TLS stream.
import type { TlsMaterial } from '@sealift/pki';
import { listenOnLoopbackOnly, serve } from './child.ts';
import { receiveOverTls, seedOverTls } from './mutual-tls-stream.ts';
import { loadOpponent } from './opponents.ts';

interface Options {
  readonly transport: string;
  readonly opponents: string;
  readonly pieceBytes: number;
  readonly file: string;
  readonly pieceHashes: readonly string[];
  readonly tls: TlsMaterial;
}
interface Download extends Options {
  readonly directory: string;
  readonly offer: { readonly port: number; readonly torrentFile?: string };
}

/** What we use of webtorrent. */
interface WebTorrent {
  readonly torrentPort: number;
  seed(file: string, options: object, onSeed: (torrent: { torrentFile: Uint8Array }) => void): void;
  add(torrentFile: Uint8Array, options: object): Torrent;
}
interface Torrent {
  readonly files: readonly { readonly path: string }[];
  readonly path: string;
  addPeer(address: string): boolean;
  once(event: 'ready' | 'done' | 'error', listener: (error?: Error) => void): this;
}

listenOnLoopbackOnly();
/** Made before the clock runs. */
let client: WebTorrent | undefined;

serve({
  prepare: async ({ transport, opponents }: Options) => {
    if (transport === 'webtorrent') client = await createClient(opponents);
  },
  seed: async ({ transport, opponents, file, pieceBytes, tls }: Options) => {
    if (transport !== 'webtorrent') return { port: await seedOverTls({ file, tls }) };
    const seeding = await createClient(opponents);
    // An empty list of trackers: the default is a list of public ones.
    const options = { announceList: [], pieceLength: pieceBytes, private: true };
    const { torrentFile } = await new Promise<{ torrentFile: Uint8Array }>((resolve) => {
      seeding.seed(file, options, resolve);
    });
    return { port: seeding.torrentPort, torrentFile: Buffer.from(torrentFile).toString('base64') };
  },
  download: async ({ directory, offer, tls, pieceBytes, pieceHashes }: Download) => {
    if (client === undefined) {
      return await receiveOverTls({ port: offer.port, tls, pieceBytes, pieceHashes, directory });
    }
    const torrent = client.add(Buffer.from(offer.torrentFile ?? '', 'base64'), { path: directory });
    await new Promise<void>((resolve, reject) => {
      torrent.once('ready', () => torrent.addPeer(`127.0.0.1:${offer.port}`));
      torrent.once('done', () => resolve()).once('error', reject);
    });
    return `${torrent.path}/${torrent.files[0]?.path}`;
  },
});

/** A client that finds nobody by itself: plain TCP to the one address that it is given. */
async function createClient(directory: string): Promise<WebTorrent> {
  const { default: Client } = await loadOpponent<{ default: new (options: object) => WebTorrent }>('webtorrent', {
    directory,
  });
  return new Client({
    dht: false,
    tracker: false,
    lsd: false,
    utPex: false,
    utp: false,
    webSeeds: false,
    natUpnp: false,
    natPmp: false,
    secure: 0,
  });
}
