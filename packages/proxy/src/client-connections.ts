import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** How long a tunnel may be silent before a stopping proxy takes it for idle, in ms. */
const IDLE_TUNNEL_MS = 1000;

interface ClientConnection {
  /** What the client's bytes come out of: the TCP socket, or the TLS socket on it. */
  socket: Socket;
  /** Answers that are being made for it. */
  readonly running: Set<ServerResponse>;
  isTunnel: boolean;
}

/**
 * The connections of clients: what runs on each, so that an end of the proxy can wait for it. A connection is known by its
 * TCP socket and, once it is intercepted, by its TLS socket too. The server's `maxConnections` bounds their number.
 */
export class ClientConnections {
  readonly #all = new Map<Socket, ClientConnection>();
  readonly #bySocket = new WeakMap<Socket, ClientConnection>();
  #isDraining = false;

  add(socket: Socket): void {
    const connection = { socket, running: new Set<ServerResponse>(), isTunnel: false };
    this.#all.set(socket, connection);
    this.#bySocket.set(socket, connection);
    // Errors end in 'close' as well; there is nobody to tell.
    socket.on('error', () => {});
    socket.once('close', () => this.#all.delete(socket));
    if (this.#isDraining) socket.destroy();
  }

  /** Makes `tlsSocket` another name of the connection that it is spoken on. */
  alias(tlsSocket: Socket, socket: Socket): void {
    const connection = this.#bySocket.get(socket);
    if (connection === undefined) return;
    this.#bySocket.set(tlsSocket, connection);
    connection.socket = tlsSocket;
    if (this.#isDraining) this.#endIfIdle(connection);
  }

  /** Says that from now on two others talk on this connection. */
  becomeTunnel(socket: Socket): void {
    const connection = this.#bySocket.get(socket);
    if (connection === undefined) return;
    connection.isTunnel = true;
    if (this.#isDraining) this.#endIfIdle(connection);
  }

  /** The answers that are being made on the connection of `socket`. */
  runningOn(socket: Socket): readonly ServerResponse[] {
    return [...(this.#bySocket.get(socket)?.running ?? [])];
  }

  /** Counts an answer until it is over; returns how many now run on its connection. */
  begin(response: ServerResponse): number {
    const connection = this.#bySocket.get(response.req.socket);
    if (connection === undefined) return 0;
    connection.running.add(response);
    const done = (): void => {
      connection.running.delete(response);
      if (this.#isDraining) this.#endIfIdle(connection);
    };
    response.once('close', done);
    return connection.running.size;
  }

  /** Ends idle connections now, and the others when they are done or after `timeoutMs`. Resolves when all are gone. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    for (const connection of this.#all.values()) this.#endIfIdle(connection);
    const deadline = setTimeout(() => {
      for (const [tcpSocket, { socket }] of this.#all) {
        socket.destroy();
        tcpSocket.destroy();
      }
    }, timeoutMs);
    await Promise.all([...this.#all.keys()].map((socket) => socket.closed || once(socket, 'close')));
    clearTimeout(deadline);
  }

  #endIfIdle({ socket, running, isTunnel }: ClientConnection): void {
    if (isTunnel) socket.setTimeout(IDLE_TUNNEL_MS, () => socket.destroy());
    // Flushes what is still under way.
    else if (running.size === 0) socket.destroySoon();
  }
}
