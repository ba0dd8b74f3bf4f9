import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Digest, RegistryHost } from '@sealift/core';
import { answerQuestions } from '../harness/party-side.ts';
import type { Serving } from './serve-party.ts';

/** The two ways by which a runtime reaches the proxy. */
export type ServeMode = 'intercepted' | 'mirror';

/** One blob to be pulled. */
export interface PullOrder {
  readonly mode: ServeMode;
  readonly serving: Serving;
  readonly registry: RegistryHost;
  readonly digest: Digest;
  readonly size: number;
  /** Hashes what comes instead of only counting it. */
  readonly isChecked: boolean;
}

answerQuestions({ pull });

/** Pulls a blob over a connection of its own; rejects unless all of it came. */
async function pull(order: PullOrder): Promise<void> {
  const { mode, serving, registry, digest, size, isChecked } = order;
  const path = `/v2/bench/image/blobs/${digest}`;
  const get =
    mode === 'mirror'
      ? request({ host: '127.0.0.1', port: serving.port, path: `${path}?ns=${registry}`, agent: false })
      : await overTunnel(order, path);
  get.end();
  const [response] = (await once(get, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`the server answered ${response.statusCode}`);
  const sha256 = isChecked ? createHash('sha256') : undefined;
  let received = 0;
  response.on('data', (chunk: Buffer) => {
    received += chunk.length;
    sha256?.update(chunk);
  });
  await once(response, 'end');
  if (received !== size) throw new Error(`${received} bytes came instead of ${size}`);
  if (sha256 !== undefined && `sha256:${sha256.digest('hex')}` !== digest) throw new Error('other bytes came');
}

async function overTunnel({ serving, registry }: PullOrder, path: string) {
  const tunnel = request({
    host: '127.0.0.1',
    port: serving.port,
    method: 'CONNECT',
    path: `${registry}:443`,
    agent: false,
  });
  tunnel.end();
  const [response, socket] = (await once(tunnel, 'connect')) as [IncomingMessage, Socket];
  if (response.statusCode !== 200) throw new Error(`CONNECT was answered with ${response.statusCode}`);
  const tlsSocket = connectTls({ socket, servername: registry, ca: serving.caPem });
  await once(tlsSocket, 'secureConnect');
  return request({ createConnection: () => tlsSocket, path, headers: { host: registry } });
}
