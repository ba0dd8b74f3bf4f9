import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { AppError } from '@sealift/core';
import { refuseSocket } from './error-answer.ts';
import type { ProxyLimits } from './limits.ts';

/** Pause between two looks for connections that are too slow, in ms. Node's own 30 s would treble the limits. */
const CHECK_INTERVAL_MS = 1000;

const STATUS_OF_PARSER_ERROR: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/**
 * An HTTP/1.1 server with the proxy's limits; it does not listen by itself. What does not parse strictly is refused and
 * its connection closed, both framings at once included (RFC 9112 §6.3), so that no request hides inside another.
 */
export function createHttpServer({
  limits,
  runningOn,
  onRequest,
}: {
  limits: ProxyLimits;
  /** The answers that are being made on a connection. */
  runningOn: (socket: Socket) => readonly ServerResponse[];
  onRequest: (request: IncomingMessage, response: ServerResponse) => void;
}): Server {
  const server = createServer({
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: limits.headersTimeoutMs,
    // A push of a large layer takes as long as it takes; silence is what `timeout` ends.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, limits.headersTimeoutMs),
    insecureHTTPParser: false,
    noDelay: true,
  });
  // The size bounds them; by number, Node would drop the rest without a word.
  server.maxHeadersCount = 0;
  server.maxRequestsPerSocket = limits.maxRequestsPerConnection;
  server.timeout = limits.clientIdleTimeoutMs;
  server.on('request', onRequest);
  // The upstream says whether to continue, not we.
  server.on('checkContinue', onRequest);
  server.on('timeout', (socket) => {
    if (isOwing(socket, runningOn(socket))) socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // In the middle of an answer, anything written would become a part of it.
    if (error.code === 'ECONNRESET' || !socket.writable || runningOn(socket as Socket).length > 0) socket.destroy();
    else refuseUnparsed(error, socket as Socket);
  });
  return server;
}

/** Whether it is the client's turn: to ask, to send the rest of a body, or to take what is ready for it. */
function isOwing(socket: Socket, running: readonly ServerResponse[]): boolean {
  return running.length === 0 || socket.writableLength > 0 || running.some(({ req }) => !req.complete);
}

function refuseUnparsed(error: NodeJS.ErrnoException, socket: Socket): void {
  const status = STATUS_OF_PARSER_ERROR[error.code ?? ''] ?? 400;
  refuseSocket(socket, new AppError('REQUEST_UNSUPPORTED', { reason: 'the request is not well-formed HTTP' }), {
    status,
  });
}
