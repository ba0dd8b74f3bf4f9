import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { LoopbackCertificate } from './loopback-certificate.ts';

/** An HTTPS server on a port of 127.0.0.1 that the system chooses, with connections that can be counted and cut. */
export class LoopbackServer {
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Duplex>();
  readonly #onIdle = new Set<() => void>();

  /** With `clientCaPem` only those are heard who show a certificate of that CA. */
  constructor(
    certificate: LoopbackCertificate,
    handle: (request: IncomingMessage, response: ServerResponse) => void,
    { clientCaPem }: { clientCaPem?: string | undefined } = {},
  ) {
    const clients = clientCaPem === undefined ? {} : { requestCert: true, rejectUnauthorized: true, ca: clientCaPem };
    this.#server = createServer(
      { cert: certificate.certificatePem, key: certificate.privateKeyPem, ...clients },
      (request, response) => {
        request.on('error', () => {});
        response.on('error', () => {});
        // A handler that fails is a bug in a test: cut the connection, so that the test does not wait for it.
        try {
          handle(request, response);
        } catch {
          response.destroy();
        }
      },
    );
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        if (this.#sockets.size === 0) for (const resolve of this.#onIdle) resolve();
      });
    });
    // A client that does not trust us, which is what some tests are about.
    this.#server.on('tlsClientError', () => {});
  }

  /** `127.0.0.1:<port>`; only after {@link start}. */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  /** Resolves when no connection is open. */
  async idle(): Promise<void> {
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => this.#onIdle.add(resolve));
  }

  /** Cuts all open connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async start(): Promise<void> {
    if (this.#server.listening) return;
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    this.cut();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
