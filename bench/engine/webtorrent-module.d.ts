declare module 'webtorrent' {
  import type { EventEmitter } from 'node:events';

  interface Torrent extends EventEmitter {
    readonly ready: boolean;
    addPeer(address: string): boolean;
  }

  class WebTorrent extends EventEmitter {
    constructor(options: Readonly<Record<string, unknown>>);
    readonly torrentPort: number;
    readonly listening: boolean;
    add(torrent: Uint8Array, options: Readonly<Record<string, unknown>>): Torrent;
  }

  // biome-ignore lint/style/noDefaultExport: this is how the package exports it.
  export default WebTorrent;
}
