import { EventEmitter, once } from 'node:events';
import http, { type IncomingMessage, type RequestListener } from 'node:http';
import https from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { parseRegistryHost, type RegistryHost, silentLogger, systemClock } from '@sealift/core';
import { InterceptCa } from '@sealift/pki';
import type { RegistryConfig } from '@sealift/registry';
import { createLoopbackCertificate } from '@sealift/testkit';
import type { BlobBytes } from './blob-responder.ts';
import { MemoryBlobSource } from './memory-blob-source.ts';
import { ProxyServer, type ProxyServerOptions } from './proxy-server.ts';

/** A running proxy and what a test wants to know of it. */
export interface TestProxy {
  readonly proxy: ProxyServer;
  readonly port: number;
  /** What a runtime on this node trusts. */
  readonly interceptCaPem: string;
  readonly blobs: MemoryBlobSource;
  /** The first `count` blob answers, once they are over. */
  served(count?: number): Promise<readonly BlobBytes[]>;
}

/** A proxy for `registries` that stops with the test. */
export async function startProxy(
  t: TestContext,
  { registries, ...options }: Pick<ProxyServerOptions, 'registries'> & Partial<ProxyServerOptions>,
): Promise<TestProxy> {
  const interceptCa = await InterceptCa.create({
    registries: registries.map(({ registry }) => registry),
    nodeName: 'test',
  });
  const blobs = new MemoryBlobSource();
  const all: BlobBytes[] = [];
  const events = new EventEmitter();
  const proxy = new ProxyServer({
    listen: { host: '127.0.0.1', port: 0 },
    registries,
    interceptCa,
    blobs,
    clock: systemClock,
    log: silentLogger,
    onBlobServed: (bytes) => {
      all.push(bytes);
      // When all that belongs to the answer is done, which is in this very tick.
      setImmediate(() => events.emit('served'));
    },
    ...options,
    limits: { retryDelaysMs: [1, 2], stopTimeoutMs: 200, ...options.limits },
  });
  await proxy.start();
  t.after(() => proxy.stop());
  const served = async (count = 1): Promise<readonly BlobBytes[]> => {
    while (all.length < count) await once(events, 'served');
    return all;
  };
  return { proxy, port: proxy.port, interceptCaPem: interceptCa.certificatePem, blobs, served };
}

/** An HTTPS server with a handler of the test's own, to stand for a registry. */
export interface TestUpstream {
  readonly config: RegistryConfig;
  readonly host: RegistryHost;
  readonly server: https.Server;
  readonly caPem: string;
}

/** Starts a {@link TestUpstream} that stops with the test; it is reached as `localhost:<port>`. */
export async function startUpstream(t: TestContext, handler: RequestListener): Promise<TestUpstream> {
  const { caPem, certificatePem, privateKeyPem } = await createLoopbackCertificate();
  const server = https.createServer({ cert: certificatePem, key: privateKeyPem }, handler);
  const port = await listen(t, server);
  const host = parseRegistryHost(`localhost:${port}`);
  return { config: { registry: host, caPem }, host, server, caPem };
}

/** Starts a plain HTTP server that stops with the test; returns its port. */
export async function startPlainServer(t: TestContext, handler: RequestListener): Promise<number> {
  return await listen(t, http.createServer(handler));
}

async function listen(t: TestContext, server: http.Server | https.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A raw TCP connection to the proxy that ends with the test. */
export async function dial(
  t: TestContext,
  port: number,
  { localAddress = '127.0.0.1' }: { localAddress?: string } = {},
): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** Sends `text` on a connection of its own and resolves with all that comes back until the end. */
export async function converse(t: TestContext, port: number, text: string): Promise<string> {
  const socket = await dial(t, port);
  socket.write(text);
  return await untilEnd(socket);
}

/** All bytes of a socket until it ends, as latin1. A broken connection is an end too. */
export function untilEnd(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
    });
    socket.once('close', () => resolve(text));
    socket.once('end', () => resolve(text));
    socket.once('error', () => resolve(text));
  });
}

/** Asks the proxy for a tunnel; resolves with the socket once the proxy has agreed. Throws its answer if it has not. */
export async function connectTo(t: TestContext, port: number, target: string): Promise<Socket> {
  const request = http.request({ host: '127.0.0.1', port, method: 'CONNECT', path: target, agent: false });
  request.on('error', () => {});
  request.end();
  const [response, socket] = (await once(request, 'connect')) as [IncomingMessage, Socket];
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  if (response.statusCode !== 200) throw new Error(`CONNECT was answered with ${response.statusCode}`);
  return socket;
}

/** A TLS connection to `target` through the proxy, as dockerd makes it. */
export async function tlsThrough(
  t: TestContext,
  port: number,
  { target, ...options }: { target: string } & ConnectionOptions,
): Promise<TLSSocket> {
  const socket = await connectTo(t, port, target);
  const [hostname = ''] = target.split(':');
  const servername = /^[\d.]+$/.test(hostname) ? {} : { servername: hostname };
  const tlsSocket = tlsConnect({ socket, host: hostname, ...servername, ...options });
  tlsSocket.on('error', () => {});
  t.after(() => tlsSocket.destroy());
  await Promise.race([
    once(tlsSocket, 'secureConnect'),
    once(tlsSocket, 'close').then(() => {
      throw new Error('the TLS handshake failed');
    }),
  ]);
  return tlsSocket;
}

/** An answer, read to its end. */
export interface TestAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly body: Buffer;
}

/** Options of {@link ask}. */
export type AskOptions = {
  readonly method?: string;
  readonly path: string;
  readonly headers?: http.OutgoingHttpHeaders | readonly string[];
  readonly body?: string | Buffer;
};

/** Sends one request over an open connection and reads the answer. Rejects if the body is cut. */
export async function ask(socket: Socket, { body, ...options }: AskOptions): Promise<TestAnswer> {
  const request = begin(socket, options);
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return await readAnswer(response);
}

/** Begins a request over an open connection; the caller ends it. */
export function begin(socket: Socket, options: Omit<AskOptions, 'body'>): http.ClientRequest {
  const { headers = {}, ...rest } = options;
  const request = http.request({ createConnection: () => socket, headers, setHost: false, ...rest });
  request.on('error', () => {});
  return request;
}

/** Reads an answer to its end. Rejects if the body is cut. */
export async function readAnswer(response: IncomingMessage): Promise<TestAnswer> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  const { statusCode: status = 0, headers, rawHeaders, trailers } = response;
  return { status, headers, rawHeaders, trailers, body: Buffer.concat(parts) };
}

/** Opens an intercepted connection and sends one request on it, with the right Host. */
export async function askRegistry(
  t: TestContext,
  proxy: Pick<TestProxy, 'port' | 'interceptCaPem'>,
  registry: RegistryHost,
  { headers = {}, ...options }: AskOptions & { headers?: http.OutgoingHttpHeaders },
): Promise<TestAnswer> {
  const socket = await tlsThrough(t, proxy.port, { target: registry, ca: proxy.interceptCaPem });
  return await ask(socket, { ...options, headers: { Host: registry, ...headers } });
}
