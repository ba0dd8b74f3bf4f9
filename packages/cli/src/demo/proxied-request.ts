import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { AppError, type RegistryHost, registryEndpoint } from '@sealift/core';

/** Longest wait for a proxy's answer to CONNECT and for the head of a response, in ms. */
const HEAD_TIMEOUT_MS = 60_000;

/** How a light client reaches registries: as a container runtime does, through a node's proxy, or directly. */
export interface Route {
  /** The node's proxy; `undefined` for a direct connection. */
  readonly proxy: { readonly host: string; readonly port: number } | undefined;
  /** PEM certificates that it trusts, and nothing else. */
  readonly trustAnchors: string;
}

/** One HTTPS request. */
export interface RequestOptions {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
}

/** Sends one request over a connection of its own, as dockerd does, and answers with the head of the response. */
export async function requestOnce(
  route: Route,
  registry: RegistryHost,
  { method, path, headers = {}, body, signal }: RequestOptions,
): Promise<http.IncomingMessage> {
  const { hostname, port } = registryEndpoint(registry);
  const socket = route.proxy === undefined ? undefined : await openTunnel(route.proxy, `${hostname}:${port}`, signal);
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const request = https.request({
    method,
    path,
    host: hostname,
    port,
    signal,
    timeout: HEAD_TIMEOUT_MS,
    headers: { host: registry, connection: 'close', 'content-length': String(body?.length ?? 0), ...headers },
    createConnection: () =>
      tls.connect({
        ...(socket === undefined ? { host: hostname, port } : { socket }),
        // An IP address must not be sent as SNI (RFC 6066 §3); Node then checks the IP SANs of the certificate.
        ...(/[^0-9.:]/.test(hostname) && !hostname.includes(':') ? { servername: hostname } : { host: hostname }),
        ca: route.trustAnchors,
        // Said here, for the environment can switch the check off for those who do not.
        rejectUnauthorized: true,
        ALPNProtocols: ['http/1.1'],
      }),
  });
  request.on('timeout', () => request.destroy(new AppError('REGISTRY_UNAVAILABLE', { reason: 'no answer in time' })));
  request.on('response', resolve);
  request.on('error', reject);
  request.end(body);
  return await promise;
}

/** Opens a tunnel with CONNECT (RFC 9110 §9.3.6). */
async function openTunnel(proxy: { host: string; port: number }, target: string, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const request = http.request({
    ...proxy,
    method: 'CONNECT',
    path: target,
    agent: false,
    signal,
    timeout: HEAD_TIMEOUT_MS,
  });
  request.on('timeout', () =>
    request.destroy(new AppError('REGISTRY_UNAVAILABLE', { reason: 'the proxy does not answer' })),
  );
  request.on('connect', (response, socket) => {
    if (response.statusCode === 200) resolve(socket);
    else {
      socket.destroy();
      reject(
        new AppError('REGISTRY_UNAVAILABLE', { reason: 'the proxy refuses to connect', status: response.statusCode }),
      );
    }
  });
  request.on('error', reject);
  request.end();
  return await promise;
}

/** Reads a whole body of at most `maxBytes`. */
export async function readBody(response: http.IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'a body is too long' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
