/** The part of the package that we use; it ships no types. */
declare module 'bittorrent-tracker/server' {
  import type { EventEmitter } from 'node:events';
  import type { IncomingMessage, ServerResponse } from 'node:http';

  export interface AnnounceParams {
    /** 40 hex digits. */
    readonly info_hash: string;
    readonly httpReq: IncomingMessage;
  }

  export type Callback<T> = (error: Error | null, result?: T) => void;

  export interface Swarm {
    announce(params: AnnounceParams, callback: Callback<object>): void;
    scrape(params: object, callback: Callback<object>): void;
  }

  class Server extends EventEmitter {
    constructor(options: {
      http: false;
      udp: false;
      ws: false;
      stats: false;
      trustProxy: false;
      interval: number;
      filter: (infoHash: string, params: AnnounceParams, callback: (error: Error | null) => void) => void;
    });
    getSwarm: (infoHash: string, callback: Callback<Swarm>) => void;
    createSwarm: (infoHash: string, callback: Callback<Swarm>) => void;
    onHttpRequest(
      request: IncomingMessage,
      response: ServerResponse,
      options: { action: 'announce'; trustProxy: false },
    ): void;
    close(callback?: () => void): void;
  }

  // biome-ignore lint/style/noDefaultExport: the package has its class as default export.
  export { Server as default };
}
