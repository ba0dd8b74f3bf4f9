import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import { AppError } from '@sealift/core';
import { exchange } from './exchange.ts';
import type { ProxyLimits } from './limits.ts';
import { endToEndHeaders, headerPairs } from './raw-headers.ts';
import type { Upstream } from './upstream.ts';

/** What became of a request that was passed on. */
export interface PassThroughOutcome {
  readonly status: number;
  /** Body bytes that came from the upstream. */
  readonly bytes: number;
  readonly isComplete: boolean;
}

/**
 * Passes a request to `upstream` and its answer back: heads, bodies, trailers and interim answers, as they come and
 * without holding a body. Redirects, challenges and errors of the upstream are the client's to understand. An answer that
 * breaks off ends the client's connection, so that it never looks whole. Throws `REGISTRY_UNAVAILABLE` if no answer came,
 * and `REQUEST_UNSUPPORTED` for a body in an encoding that we could not pass on; the client has been told nothing then.
 */
export async function passThrough({
  request,
  response,
  upstream,
  path,
  hostHeader,
  limits,
  signal,
}: {
  request: IncomingMessage;
  response: ServerResponse;
  upstream: Upstream;
  path: string;
  /** Replaces the client's Host where that named us, not the upstream. */
  hostHeader?: string;
  limits: ProxyLimits;
  signal: AbortSignal;
}): Promise<PassThroughOutcome> {
  const answer = await exchange({
    upstream,
    request: { method: request.method ?? 'GET', path, headers: requestHeaders(request, hostHeader) },
    isRepeatable: isRepeatable(request),
    send: (outgoing) => sendBody({ from: request, to: outgoing, response }),
    isClientSlow: (outgoing) =>
      response.writableNeedDrain || (!request.complete && outgoing.writableLength === 0 && !response.headersSent),
    limits,
    signal,
  }).catch((error: unknown) => {
    throw new AppError(
      'REGISTRY_UNAVAILABLE',
      {
        upstream: upstream.name,
        reason: faultOf(error),
        advice: 'Check that this node reaches it and trusts its certificate.',
      },
      { cause: error },
    );
  });
  return await relayAnswer({ from: answer, to: response, request, signal });
}

/** Whether the framing of a request says that a body follows (RFC 9112 §6.3). */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function isRepeatable(request: IncomingMessage): boolean {
  return (request.method === 'GET' || request.method === 'HEAD') && !hasBody(request);
}

/** The headers of a request as they go upstream, Host included; `hostHeader` replaces that of the client. */
export function requestHeaders(request: IncomingMessage, hostHeader: string | undefined): string[] {
  const encoding = request.headers['transfer-encoding'];
  // We take `chunked` off and put it on again. Any other coding would reach the upstream undeclared.
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'chunked') {
    throw new AppError('REQUEST_UNSUPPORTED', { reason: 'transfer encodings other than chunked are not passed on' });
  }
  const isChunked = encoding !== undefined;
  const except = [...(isChunked ? ['content-length'] : ['trailer']), ...(hostHeader === undefined ? [] : ['host'])];
  const headers = endToEndHeaders(request.rawHeaders, { except });
  if (hostHeader !== undefined) headers.unshift('Host', hostHeader);
  if (isChunked) headers.push('Transfer-Encoding', 'chunked');
  // A method that usually has a body, with no word about its length: there is none (RFC 9112 §6.3, rule 7).
  else if (request.headers['content-length'] === undefined && /^(?:POST|PUT|PATCH)$/.test(request.method ?? '')) {
    headers.push('Content-Length', '0');
  }
  return headers;
}

function sendBody({
  from,
  to,
  response,
}: {
  from: IncomingMessage;
  to: ClientRequest;
  response: ServerResponse;
}): void {
  to.on('continue', () => {
    if (!response.headersSent) response.writeContinue();
  });
  to.on('information', ({ statusCode }) => {
    if (statusCode === 102 && !response.headersSent) response.writeProcessing();
  });
  if (!hasBody(from)) {
    to.end();
    return;
  }
  from.pipe(to, { end: false });
  from.once('end', () => {
    if (from.rawTrailers.length > 0) to.addTrailers([...headerPairs(endToEndHeaders(from.rawTrailers))]);
    to.end();
  });
  // What comes after the upstream has closed is read and dropped, so that the client gets to read the answer.
  to.once('close', () => from.unpipe(to).resume());
}

function relayAnswer({
  from,
  to,
  request,
  signal,
}: {
  from: IncomingMessage;
  to: ServerResponse;
  request: IncomingMessage;
  signal: AbortSignal;
}): Promise<PassThroughOutcome> {
  const status = from.statusCode ?? 502;
  const isChunked = from.headers['transfer-encoding'] !== undefined;
  const canTrail = isChunked && request.method !== 'HEAD' && request.httpVersionMinor > 0;
  const headers = endToEndHeaders(from.rawHeaders, {
    except: [...(isChunked ? ['content-length'] : []), ...(canTrail ? [] : ['trailer'])],
  });
  // The upstream answered before it had the whole request; the rest of it must not be read as the next one.
  if (!request.complete) headers.push('Connection', 'close');
  to.sendDate = false;
  to.writeHead(status, from.statusMessage ?? '', headers);
  return new Promise((resolve) => {
    let bytes = 0;
    const finish = (isComplete: boolean): void => {
      if (!isComplete) to.destroy();
      resolve({ status, bytes, isComplete });
    };
    from.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    from.pipe(to, { end: false });
    from.once('end', () => {
      if (!from.complete) return;
      if (canTrail && from.rawTrailers.length > 0) to.addTrailers([...headerPairs(endToEndHeaders(from.rawTrailers))]);
      to.end();
    });
    from.on('error', () => finish(false));
    from.once('close', () => {
      if (!from.complete) finish(false);
    });
    to.once('finish', () => finish(true));
    to.on('error', () => finish(false));
    signal.addEventListener('abort', () => finish(false));
    if (signal.aborted) finish(false);
  });
}

function faultOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  // Node's messages on certificates name host and reason, and nothing of the request.
  return code === undefined ? message : code;
}
