import { once } from 'node:events';
import { openSync, readSync } from 'node:fs';
import type { AddressInfo, OnReadOpts } from 'node:net';
import { type ConnectionOptions, connect, createServer, type TLSSocket } from 'node:tls';
import { peerClientContext, peerConnectOptions, peerServerOptions } from '@sealift/pki';
import { answerQuestions } from '../harness/party-side.ts';
import type { RawReceive, RawSend } from './raw-tls.ts';

/** Bytes of one write. Smaller ones cost more, larger ones gain nothing. */
const WRITE_LENGTH = 256 * 1024;
/** Buffers in turn, so that one is filled into TLS records while others wait in the socket. */
const BUFFERS = 4;
/** One TLS record and some: what OpenSSL gives at a time. */
const RECEIVE_LENGTH = 20 * 1024;

answerQuestions({
  send: async ({ tls, file, size }: RawSend) => {
    const descriptor = openSync(file, 'r');
    const buffers = Array.from({ length: BUFFERS }, (_, index) => {
      const buffer = Buffer.alloc(WRITE_LENGTH);
      readSync(descriptor, buffer, 0, WRITE_LENGTH, index * WRITE_LENGTH);
      return buffer;
    });
    const server = createServer(peerServerOptions(tls), (socket) => sendAll(socket, buffers, size));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
  receive: ({ tls, port, size }: RawReceive) => receiveAll(tls, port, size),
});

function sendAll(socket: TLSSocket, buffers: readonly Buffer[], size: number): void {
  socket.setNoDelay(true);
  socket.on('error', () => {});
  let sent = 0;
  const next = (buffer: Buffer): void => {
    if (sent === size) return;
    const chunk = buffer.subarray(0, Math.min(buffer.length, size - sent));
    sent += chunk.length;
    socket.write(chunk, () => next(buffer));
  };
  for (const buffer of buffers) next(buffer);
}

function receiveAll(tls: RawReceive['tls'], port: number, size: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = 0;
    // Documented for tls.connect, and missing from its types.
    const options: ConnectionOptions & { onread: OnReadOpts } = {
      ...peerConnectOptions(peerClientContext(tls)),
      host: '127.0.0.1',
      port,
      // The fastest way that Node has to receive: one buffer, again and again.
      onread: {
        buffer: Buffer.alloc(RECEIVE_LENGTH),
        callback: (length) => {
          received += length;
          if (received === size) {
            socket.destroy();
            resolve();
          }
          return true;
        },
      },
    };
    const socket = connect(options);
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the connection ended early')));
  });
}
