import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AnnounceExtras } from '@sealift/bittorrent';
import type { SwarmId } from '@sealift/core';
import Server, { type AnnounceParams, type Callback, type Swarm } from 'bittorrent-tracker/server';
import { type AnnouncedPeer, encodeAnnounce } from './announce-encoding.ts';

/** What we answer to an announce that was admitted. */
export interface AnnounceResponse {
  /** In seconds. */
  readonly interval: number;
  readonly complete: number;
  readonly incomplete: number;
  readonly peers: readonly AnnouncedPeer[];
  /** Beside the standard keys. */
  readonly extras: AnnounceExtras;
}

const HEADERS = { 'content-type': 'text/plain', 'cache-control': 'no-store' };

interface Admitted {
  readonly swarmId: SwarmId;
  readonly isCompact: boolean;
  readonly response: AnnounceResponse;
}

/**
 * The server half of `bittorrent-tracker`, held to what it is good at: reading an announce as stock clients send it and
 * writing the answer in the compact form that they ask for. It opens no port, keeps no swarm and admits nobody: requests
 * come in with their answer. Peers as dictionaries, which our own nodes get, never pass through it: they are written by us,
 * at a fraction of the cost.
 */
export class AnnounceResponder {
  readonly #admitted = new WeakMap<IncomingMessage, Admitted>();
  readonly #server: Server;
  readonly #onWarning: (error: unknown) => void;

  constructor({ intervalMs, onWarning }: { intervalMs: number; onWarning: (error: unknown) => void }) {
    this.#onWarning = onWarning;
    this.#server = new Server({
      http: false,
      udp: false,
      ws: false,
      stats: false,
      trustProxy: false,
      interval: intervalMs,
      // The library read the query itself: it must have read the swarm that was admitted.
      filter: (swarmId, { httpReq }, callback) =>
        callback(this.#admitted.get(httpReq)?.swarmId === swarmId ? null : new Error('not admitted')),
    });
    this.#server.on('warning', onWarning);
    this.#server.on('error', onWarning);
    const swarm: Swarm = {
      announce: (params, callback) => this.#announce(params, callback),
      scrape: (_params, callback) => callback(new Error('not served here')),
    };
    // One stand-in for all swarms, so that the library's own table stays empty: it never frees an entry.
    this.#server.getSwarm = (_swarmId, callback) => callback(null, swarm);
    this.#server.createSwarm = (_swarmId, callback) => callback(null, swarm);
  }

  /** Writes `response` to a request that was admitted for `swarmId`. */
  respond(request: IncomingMessage, response: ServerResponse, admitted: Admitted): void {
    if (!admitted.isCompact) {
      const body = encodeAnnounce(admitted.response);
      response.writeHead(200, { ...HEADERS, 'content-length': body.length }).end(body, 'latin1');
      return;
    }
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    this.#admitted.set(request, admitted);
    try {
      this.#server.onHttpRequest(request, response, { action: 'announce', trustProxy: false });
    } catch (error) {
      // Nobody else answers a request that was taken out of fastify's hands.
      this.#onWarning(error);
      response.destroy();
    }
  }

  /** Answers nothing any more. */
  stop(): void {
    this.#server.close();
  }

  #announce(params: AnnounceParams, callback: Callback<object>): void {
    const admitted = this.#admitted.get(params.httpReq);
    if (admitted === undefined) {
      callback(new Error('not admitted'));
      return;
    }
    const { extras, peers, ...standard } = admitted.response;
    callback(null, { ...standard, peers: peers.map(({ host, port }) => ({ ip: host, port })), ...extras });
  }
}
