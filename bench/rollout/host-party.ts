import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { answerQuestions } from '../harness/party-side.ts';
import { type ClientOrder, clientOf, push, TRANSFER_TIMEOUT_MS } from './client-order.ts';

export interface PullOrder extends ClientOrder {
  /** When to begin, in ms since the epoch: all hosts of one machine share the clock. */
  readonly startAt: number;
}

export interface Pulled {
  /** From `startAt` to the last byte with its digest checked, in seconds. */
  readonly seconds: number;
  /** From `startAt` to the first byte of any blob, in seconds. */
  readonly firstByteSeconds: number;
}

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

async function pull(order: PullOrder): Promise<Pulled> {
  const client = await clientOf(order);
  await delay(Math.max(0, order.startAt - Date.now()));
  const signal = AbortSignal.timeout(TRANSFER_TIMEOUT_MS);
  let firstByteAt: number | undefined;
  await client.pull(order.tag, {
    signal,
    onBytes: () => {
      firstByteAt ??= Date.now();
    },
  });
  const since = (time: number): number => (time - order.startAt) / 1000;
  return { seconds: since(Date.now()), firstByteSeconds: since(firstByteAt ?? Date.now()) };
}

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
  pull,
  receive,
  send,
  received: async (): Promise<Streamed> => ({ bytesPerSecond: received.bytes / received.seconds }),
});
