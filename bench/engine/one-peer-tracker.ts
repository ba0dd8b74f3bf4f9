import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeBencode } from '@sealift/bittorrent';

/** A tracker (BEP 3, 23) that knows one peer. For a program that can be told of a tracker only. */
export class OnePeerTracker implements AsyncDisposable {
  #port = 0;
  readonly #server = createServer((_request, response) => {
    const peers = Buffer.from([127, 0, 0, 1, this.#port >> 8, this.#port & 0xff]);
    response.end(
      encodeBencode(
        new Map<string, number | Buffer>([
          ['interval', 1_800],
          ['complete', 1],
          ['incomplete', 0],
          ['peers', peers],
        ]),
      ),
    );
  });

  static async start(): Promise<OnePeerTracker> {
    const tracker = new OnePeerTracker();
    tracker.#server.listen(0, '127.0.0.1');
    await once(tracker.#server, 'listening');
    return tracker;
  }

  get announce(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/announce`;
  }

  /** The peer, on loopback. */
  setPeerPort(port: number): void {
    this.#port = port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
