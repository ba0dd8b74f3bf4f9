import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { addressKey } from '../address-key.ts';

/** Cuts off connections above `perAddress` from one address, before they cost a TLS handshake. */
export function limitConnections(server: Server, { perAddress, total }: { perAddress: number; total: number }): void {
  // Bounded by `total`: an address is held only while it has a connection.
  const open = new Map<string, number>();
  server.maxConnections = total;
  server.on('connection', (socket: Socket) => {
    const address = addressKey(socket.remoteAddress);
    const count = (open.get(address) ?? 0) + 1;
    open.set(address, count);
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
    if (count > perAddress) socket.destroy();
  });
}
