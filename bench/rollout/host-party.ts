import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parseRegistryHost, parseRepository } from '@sealift/core';
import { LightClient } from '../../packages/cli/src/demo/light-client.ts';
import { answerQuestions } from '../harness/party-side.ts';

/** What a light client on this host is to reach a registry with. */
export interface ClientOrder {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
  /** Files with the certificates that it trusts. */
  readonly trust: readonly string[];
  readonly credentials?: { readonly username: string; readonly password: string };
  /** A node's proxy on this host's loopback; a direct connection without it. */
  readonly proxy?: { readonly host: string; readonly port: number };
}

export interface PushOrder extends ClientOrder {
  /** Bytes of each layer. They are random, so that nobody holds them already. */
  readonly layers: readonly number[];
}

/** What was pushed: all blobs of the image, its config included. */
export interface Pushed {
  readonly blobBytes: number;
}

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

/** Longest time that one pull or push may take, in ms; a benchmark that hangs says less than one that fails. */
const TRANSFER_TIMEOUT_MS = 600_000;
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';
/** Bytes written at a time by a plain stream. */
const CHUNK = 256 * 1024;
/** Bytes of a stream that do not count: the burst that a token bucket lets through at once, several times over. */
const WARM_UP_BYTES = 1024 * 1024;

async function clientOf({ registry, repository, trust, credentials, proxy }: ClientOrder): Promise<LightClient> {
  const anchors = await Promise.all(trust.map((file) => readFile(file, 'utf8')));
  return new LightClient({
    route: { proxy, trustAnchors: anchors.join('\n') },
    registry: parseRegistryHost(registry),
    repository: parseRepository(repository),
    ...(credentials === undefined ? {} : { credentials }),
  });
}

async function push(order: PushOrder): Promise<Pushed> {
  const client = await clientOf(order);
  const layers = order.layers.map((size) => ({
    mediaType: LAYER_TYPE,
    bytes: randomFillSync(Buffer.allocUnsafe(size)),
  }));
  // Unlike any other config, for the same reason.
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', created: new Date().toISOString() }));
  const signal = AbortSignal.timeout(TRANSFER_TIMEOUT_MS);
  await client.push(order.tag, { config, layers }, { signal });
  return { blobBytes: layers.reduce((sum, { bytes }) => sum + bytes.length, config.length) };
}

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
