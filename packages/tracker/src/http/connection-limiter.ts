import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { addressKey } from '../address-key.ts';

/**
 * Cuts off connections above `perAddress` from one address, before they cost a TLS handshake. The function that comes back
 * cuts all others too and takes no more: closing an HTTPS server waits for those that have not sent a request yet.
 */
export function limitConnections(
  server: Server,
  { perAddress, total }: { perAddress: number; total: number },
): { cutAll: () => void } {
  // Bounded by `total`: an address is held only while it has a connection.
  const open = new Map<string, Set<Socket>>();
  let isClosing = false;
  server.maxConnections = total;
  server.on('connection', (socket: Socket) => {
    const address = addressKey(socket.remoteAddress);
    const sockets = open.get(address) ?? new Set();
    open.set(address, sockets.add(socket));
    socket.once('close', () => {
      sockets.delete(socket);
      if (sockets.size === 0 && open.get(address) === sockets) open.delete(address);
    });
    if (isClosing || sockets.size > perAddress) socket.destroy();
  });
  const cutAll = (): void => {
    isClosing = true;
    for (const sockets of open.values()) for (const socket of sockets) socket.destroy();
  };
  return { cutAll };
}
