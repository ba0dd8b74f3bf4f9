import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { answerQuestions } from '../harness/party-side.ts';
import { push } from './client-order.ts';

export interface StreamOrder {
  readonly host: string;
  readonly port: number;
  readonly seconds: number;
}

/** What a plain stream brought. */
export interface Streamed {
  readonly bytesPerSecond: number;
}

/** Bytes written at a time by a plain stream. */
const CHUNK = 256 * 1024;
/** Bytes of a stream that do not count: the burst that a token bucket lets through at once, several times over. */
const WARM_UP_BYTES = 1024 * 1024;

/** Counts what one plain TCP stream brings, once the token bucket of a shaped link has emptied. */
async function receive({ host }: { host: string }): Promise<{ port: number }> {
  const server = createServer((socket) => {
    let bytes = 0;
    let startedAt = 0;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      if (bytes <= WARM_UP_BYTES) startedAt = performance.now();
      bytes += chunk.length;
      lastChunkAt = performance.now();
      received = { bytes: bytes - WARM_UP_BYTES, seconds: (lastChunkAt - startedAt) / 1000 };
    });
    socket.on('close', () => server.close());
  });
  let lastChunkAt = 0;
  server.listen(0, host);
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port };
}

let received = { bytes: 0, seconds: 1 };

async function send({ host, port, seconds }: StreamOrder): Promise<object> {
  const socket = connect({ host, port });
  await once(socket, 'connect');
  const chunk = Buffer.allocUnsafe(CHUNK);
  const endsAt = performance.now() + seconds * 1000;
  while (performance.now() < endsAt) if (!socket.write(chunk)) await once(socket, 'drain');
  socket.end();
  await once(socket, 'close');
  return {};
}

answerQuestions({
  push,
  receive,
  send,
  received: async (): Promise<Streamed> => ({ bytesPerSecond: received.bytes / received.seconds }),
});
