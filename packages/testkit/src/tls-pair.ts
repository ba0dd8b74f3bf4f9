import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type ConnectionOptions, connect, createServer, type TLSSocket, type TlsOptions } from 'node:tls';

/** Two ends of one TLS connection over loopback. */
export interface TlsPair {
  readonly client: TLSSocket;
  readonly server: TLSSocket;
  /** Ends both, and the listener. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Connects a client to a server and resolves when both have finished the handshake: in TLS 1.3 the client alone would
 * see success before the server has looked at its certificate. Rejects with the first error of either end.
 */
export async function openTlsPair(options: { server: TlsOptions; client: ConnectionOptions }): Promise<TlsPair> {
  const listener = createServer(options.server);
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  let server: TLSSocket | undefined;
  const accepted = new Promise<TLSSocket>((resolve, reject) => {
    listener.once('tlsClientError', reject).once('secureConnection', (socket) => {
      server = socket.on('error', () => {});
      resolve(socket);
    });
  });
  const client = connect({ host: '127.0.0.1', port, ...options.client });
  // For errors that come after the handshake; the first one is taken below.
  client.on('error', () => {});
  const close = async (): Promise<void> => {
    client.destroy();
    server?.destroy();
    if (!listener.listening) return;
    listener.close();
    await once(listener, 'close');
  };
  try {
    const [socket] = await Promise.all([accepted, once(client, 'secureConnect')]);
    return { client, server: socket, close };
  } catch (error) {
    await close();
    throw error;
  }
}
