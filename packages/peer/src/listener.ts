import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type Admission, Admissions, AppError, type Clock } from '@sealift/core';
import { peerServerOptions, type TlsMaterial } from '@sealift/pki';
import type { PeerLimits } from './limits.ts';

/**
 * Accepts TLS connections of peers, so many in all and so many of one address, and so many that have not proven a right
 * yet. What is above is cut before TLS spends anything on it.
 */
export class Listener {
  readonly #limits: PeerLimits;
  readonly #onSocket: (socket: TLSSocket, address: string) => void;
  readonly #onRefused: (error: Error, address: string) => void;
  readonly #admissions: Admissions;
  readonly #callers = new Map<string, Admission>();
  #server: Server | undefined;
  #stopping: Promise<void> | undefined;

  constructor({
    limits,
    clock,
    onSocket,
    onRefused,
  }: {
    limits: PeerLimits;
    clock: Clock;
    /** Called with each socket whose certificate has verified; it may still belong to anybody in the cluster. */
    onSocket: (socket: TLSSocket, address: string) => void;
    /** Told why TLS failed, about as often as strangers are admitted. */
    onRefused: (error: Error, address: string) => void;
  }) {
    this.#limits = limits;
    this.#onSocket = onSocket;
    this.#onRefused = onRefused;
    this.#admissions = new Admissions({
      limits: {
        connections: limits.maxConnections,
        connectionsPerAddress: limits.maxConnectionsPerAddress,
        strangers: limits.maxPendingHandshakes,
        strangersPerAddress: limits.maxPendingHandshakesPerAddress,
        strangerRate: limits.strangerRate,
      },
      clock,
    });
  }

  /** Port that it listens on; 0 while it does not. */
  get port(): number {
    return (this.#server?.address() as AddressInfo | null | undefined)?.port ?? 0;
  }

  /** Accepted connections, and how many of them have not proven a right yet. */
  get counts(): Admissions['counts'] {
    return this.#admissions.counts;
  }

  async start({ host, port, tls }: { host: string; port: number; tls: TlsMaterial }): Promise<void> {
    if (this.#server !== undefined) return;
    const options = { ...peerServerOptions(tls), handshakeTimeout: this.#limits.handshakeTimeoutMs };
    const server = createServer(options);
    this.#server = server;
    server.on('connection', (socket) => this.#onCaller(socket));
    server.on('tlsClientError', (error, socket) => {
      this.#onRefused(refusalOf(error, socket), socket.remoteAddress ?? '');
      socket.destroy();
    });
    server.on('secureConnection', (socket) => this.#onSecure(socket));
    server.listen(port, host);
    try {
      await once(server, 'listening');
    } catch (error) {
      this.#server = undefined;
      throw error;
    }
    // Failing to accept, for want of file descriptors say, is for the callers to notice.
    server.on('error', () => {});
  }

  /** Shows another certificate from the next connection on. */
  renew(tls: TlsMaterial): void {
    this.#server?.setSecureContext(peerServerOptions(tls));
  }

  /** The caller has proven a right: it no longer counts as pending. */
  settled(socket: Socket): void {
    this.#callers.get(keyOf(socket))?.settle();
  }

  /** Stops listening. Sockets that were handed over are their owners'. */
  stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return Promise.resolve();
    this.#stopping ??= new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
    return this.#stopping;
  }

  readonly #sockets = new Set<Socket>();

  #onCaller(socket: Socket): void {
    socket.on('error', () => {});
    const admission = this.#admissions.admit(socket.remoteAddress, { cut: () => socket.destroy() });
    if (admission === undefined) {
      socket.destroy();
      return;
    }
    const key = keyOf(socket);
    this.#callers.set(key, admission);
    this.#sockets.add(socket);
    socket.once('close', () => {
      admission.leave();
      if (this.#callers.get(key) === admission) this.#callers.delete(key);
      this.#sockets.delete(socket);
    });
  }

  #onSecure(socket: TLSSocket): void {
    socket.on('error', () => {});
    if (this.#stopping !== undefined || socket.remoteAddress === undefined) socket.destroy();
    else this.#onSocket(socket, socket.remoteAddress);
  }
}

/** A certificate that does not verify ends the socket without an error: the reason stands at the socket. */
function refusalOf(error: Error, { authorizationError }: TLSSocket): Error {
  // Typed as Error; in fact OpenSSL's code as a string.
  const code: unknown = authorizationError;
  if (typeof code !== 'string') return error;
  return new AppError('CERTIFICATE_REJECTED', { reason: `the chain does not verify: ${code}` }, { cause: error });
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
