import { chmod, rm } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { AppError } from '@sealift/core';
import type { Service } from './service-stack.ts';

/** Longest answer a client of the admin socket reads, in bytes. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** Longest path of a unix socket, in bytes, by the smallest of the systems we know: sun_path of macOS (unix(4)), less its end. */
const MAX_SOCKET_PATH_BYTES = 103;
/** Longest wait for an answer, in ms. */
const TIMEOUT_MS = 5_000;
/** Connections at once. Only people of this node ask here, one question each. */
const MAX_CONNECTIONS = 16;
/** How often slow senders are looked for, in ms. */
const TIMEOUT_CHECK_MS = 1_000;

/** Where a node with this data directory answers `sealift status`. */
export function adminSocketPath(dataDirectory: string): string {
  return join(dataDirectory, 'admin.sock');
}

/** Answers what the node is doing on a unix socket that only its own user may open. */
export class NodeAdmin implements Service {
  readonly #path: string;
  readonly #server: http.Server;
  #isListening = false;

  /** `timeoutMs` is the longest wait for a request, and for the next one. */
  constructor({
    dataDirectory,
    status,
    timeoutMs = TIMEOUT_MS,
  }: {
    dataDirectory: string;
    /** Gives what is told; in a few seconds at most. */
    status: () => Promise<object>;
    timeoutMs?: number;
  }) {
    this.#path = adminSocketPath(dataDirectory);
    const limits = {
      headersTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      keepAliveTimeout: timeoutMs,
      connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, timeoutMs),
      maxHeaderSize: 4096,
    };
    this.#server = http.createServer(limits, (request, response) => {
      request.resume();
      response.setHeader('content-type', 'application/json');
      if (request.method === 'GET' && request.url === '/v1/status') {
        void status().then((told) => response.end(JSON.stringify(told)));
      } else response.writeHead(404).end(JSON.stringify({ code: 'NOT_FOUND', message: 'ask for GET /v1/status' }));
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.setTimeout(timeoutMs);
  }

  async start(): Promise<void> {
    if (this.#isListening) return;
    if (Buffer.byteLength(this.#path) > MAX_SOCKET_PATH_BYTES) {
      const advice = `give a --data directory whose path has at most ${MAX_SOCKET_PATH_BYTES - '/admin.sock'.length} bytes`;
      throw new AppError('CONFIG_INVALID', { reason: 'the path of the admin socket is too long', advice });
    }
    // The store's lock says that no other process uses this directory, so a socket here is a dead one.
    await rm(this.#path, { force: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(this.#path, resolve);
    await promise;
    this.#isListening = true;
    await chmod(this.#path, 0o600);
  }

  async stop(): Promise<void> {
    if (!this.#isListening) return;
    this.#isListening = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }
}

/** Asks the node with this data directory what it is doing; rejects with the socket's error when none runs. */
export async function readNodeStatus(dataDirectory: string): Promise<Record<string, unknown>> {
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
  const request = http.get(
    { socketPath: adminSocketPath(dataDirectory), path: '/v1/status', timeout: TIMEOUT_MS },
    (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_ANSWER_BYTES) request.destroy(new RangeError('the answer is too long'));
      });
      response.on('end', () => resolve(JSON.parse(text) as Record<string, unknown>));
      response.on('error', reject);
    },
  );
  request.on('timeout', () => request.destroy(new Error('the node does not answer')));
  request.on('error', reject);
  return await promise;
}
