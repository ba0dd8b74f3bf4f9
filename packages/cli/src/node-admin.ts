import { chmod, rm } from 'node:fs/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { AppError } from '@sealift/core';
import type { Service } from './service-stack.ts';

/** Longest answer a client of the admin socket reads, in bytes. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** Longest question, in bytes: the longest Authorization header that we pass on, and the name of a blob. */
const MAX_QUESTION_BYTES = 32 * 1024;
/** Longest path of a unix socket, in bytes, by the smallest of the systems we know: sun_path of macOS (unix(4)), less its end. */
const MAX_SOCKET_PATH_BYTES = 103;
/** Longest wait for an answer, in ms. */
const TIMEOUT_MS = 5_000;
/** Longest wait for an answer that the node itself has to ask for, in ms. */
const LONG_TIMEOUT_MS = 15_000;
/** Connections at once. Only people of this node ask here, one question each. */
const MAX_CONNECTIONS = 16;
/** How often slow senders are looked for, in ms. */
const TIMEOUT_CHECK_MS = 1_000;

/** Where a node with this data directory answers `sealift status`. */
export function adminSocketPath(dataDirectory: string): string {
  return join(dataDirectory, 'admin.sock');
}

/** What a node tells, by the last part of the path. Each is given what was asked with it, an object. */
export type NodeAnswers = Readonly<Record<string, (question: Record<string, unknown>) => Promise<object>>>;

/** Answers what the node is doing on a unix socket that only its own user may open. */
export class NodeAdmin implements Service {
  readonly #path: string;
  readonly #server: http.Server;
  readonly #status: () => Promise<object>;
  readonly #answers: NodeAnswers;
  #isListening = false;

  /** `timeoutMs` is the longest wait for a request, and for the next one. */
  constructor({
    dataDirectory,
    status,
    answers = {},
    timeoutMs = TIMEOUT_MS,
  }: {
    dataDirectory: string;
    /** Gives what is told; in a few seconds at most. */
    status: () => Promise<object>;
    /** What is told when it is asked for by POST. */
    answers?: NodeAnswers;
    timeoutMs?: number;
  }) {
    this.#path = adminSocketPath(dataDirectory);
    this.#status = status;
    this.#answers = answers;
    const limits = {
      headersTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      keepAliveTimeout: timeoutMs,
      connectionsCheckingInterval: Math.min(TIMEOUT_CHECK_MS, timeoutMs),
      maxHeaderSize: 4096,
    };
    this.#server = http.createServer(limits, (request, response) => {
      // Who asks must not be able to end a node whose state cannot be told just now.
      this.#answer(request, response).catch(() => response.destroy());
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
    // A socket is made with the rights that the umask leaves, and who connects before they are narrowed stays connected.
    const umask = process.umask(0o077);
    try {
      this.#server.listen(this.#path, resolve);
    } finally {
      process.umask(umask);
    }
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

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('content-type', 'application/json');
    const name = /^\/v1\/(?<name>[a-z]{1,20})$/.exec(request.url ?? '')?.groups?.['name'] ?? '';
    const answer = Object.hasOwn(this.#answers, name) ? this.#answers[name] : undefined;
    if (request.method === 'GET' && name === 'status') {
      request.resume();
      response.end(JSON.stringify(await this.#status()));
    } else if (request.method === 'POST' && answer !== undefined) {
      const question = await readQuestion(request);
      if (question === undefined) return;
      // The question is here: from now on it is we who take time.
      request.socket.setTimeout(LONG_TIMEOUT_MS);
      response.end(JSON.stringify(await answer(question)));
    } else {
      request.resume();
      response.writeHead(404).end(JSON.stringify({ code: 'NOT_FOUND', message: 'ask for GET /v1/status' }));
    }
  }
}

/** Asks the node with this data directory what it is doing; rejects with the socket's error when none runs. */
export async function readNodeStatus(dataDirectory: string): Promise<Record<string, unknown>> {
  return await ask(dataDirectory, { method: 'GET', path: '/v1/status', timeout: TIMEOUT_MS });
}

/** Asks it one of the other questions that it answers; rejects as {@link readNodeStatus}, and for a node that knows no such question. */
export async function askNode(
  dataDirectory: string,
  name: string,
  question: object = {},
): Promise<Record<string, unknown>> {
  const path = `/v1/${name}`;
  return await ask(dataDirectory, { method: 'POST', path, timeout: LONG_TIMEOUT_MS }, JSON.stringify(question));
}

async function ask(
  dataDirectory: string,
  { method, path, timeout }: { method: string; path: string; timeout: number },
  body?: string,
): Promise<Record<string, unknown>> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  // For the whole exchange: the socket may be a forwarded one, with anybody at its other end.
  const signal = AbortSignal.timeout(timeout);
  const request = http.request({ socketPath: adminSocketPath(dataDirectory), method, path, signal }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > MAX_ANSWER_BYTES) request.destroy(new RangeError('the answer is too long'));
    });
    response.on('end', () => {
      if (response.statusCode === 200) resolve(text);
      else reject(new AppError('NOT_FOUND', { reason: 'the node does not know this question', path }));
    });
    response.on('error', reject);
  });
  request.on('error', reject);
  request.end(body);
  return JSON.parse(await promise) as Record<string, unknown>;
}

/** `undefined` for what is too long or no object in JSON; the connection is cut then. */
async function readQuestion(request: IncomingMessage): Promise<Record<string, unknown> | undefined> {
  const { socket } = request;
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > MAX_QUESTION_BYTES) break;
      chunks.push(chunk);
    }
    const value: unknown = length > MAX_QUESTION_BYTES ? undefined : JSON.parse(Buffer.concat(chunks).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // The asker is gone, or sends what is no JSON: nothing to say to either.
  }
  socket.destroy();
  return undefined;
}
