import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type Admission, type AdmissionLimits, Admissions, type Clock } from '@sealift/core';

/**
 * Cuts off connections above the limits before they cost a TLS handshake; whoever has shown a certificate of the cluster is no
 * stranger. At the end `refuseNew` takes no more, and `cutAll` cuts all: closing an HTTPS server waits for those that have not
 * sent a request yet.
 */
export function limitConnections(
  server: Server,
  { limits, clock }: { limits: AdmissionLimits; clock: Clock },
): { refuseNew: () => void; cutAll: () => void } {
  const admissions = new Admissions({ limits, clock });
  const open = new Map<Socket, Admission>();
  // The two sockets of a connection know nothing of each other; both know where it comes from.
  const byCaller = new Map<string, Admission>();
  let isClosing = false;
  server.on('connection', (socket: Socket) => {
    const admission = isClosing ? undefined : admissions.admit(socket.remoteAddress, { cut: () => socket.destroy() });
    if (admission === undefined) {
      socket.destroy();
      return;
    }
    const caller = callerOf(socket);
    open.set(socket, admission);
    byCaller.set(caller, admission);
    socket.once('close', () => {
      admission.leave();
      open.delete(socket);
      if (byCaller.get(caller) === admission) byCaller.delete(caller);
    });
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.authorized) byCaller.get(callerOf(socket))?.settle();
  });
  const refuseNew = (): void => {
    isClosing = true;
  };
  const cutAll = (): void => {
    refuseNew();
    for (const socket of open.keys()) socket.destroy();
  };
  return { refuseNew, cutAll };
}

function callerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
