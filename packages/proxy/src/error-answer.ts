import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { AppError } from '@sealift/core';

/** How long a refused client may take to read why, in ms. Closing at once could reset what it has not read yet. */
const LINGER_MS = 1000;

/**
 * Answers with what `error` says: OCI's JSON for the registry API (distribution-spec § error codes), `{ code, message }`
 * elsewhere. Does nothing if an answer has begun.
 */
export function answerError(response: ServerResponse, error: AppError, { path = '/' }: { path?: string } = {}): void {
  if (response.headersSent || response.destroyed) return;
  const body = path.startsWith('/v2/') ? ociBody(error) : plainBody(error);
  // What is left of a request that we do not understand must not be read as the next one.
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  };
  response.writeHead(error.status, headers);
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

/** Answers on a socket that no HTTP server looks after, then closes it. `status` stands in for the error's own. */
export function refuseSocket(
  socket: Socket,
  error: AppError,
  { status = error.status }: { status?: number } = {},
): void {
  if (socket.destroyed) return;
  const body = plainBody(error);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  socket.resume();
  const linger = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(linger));
}

function ociBody(error: AppError): string {
  return `${JSON.stringify({ errors: [{ code: ociCode(error), message: error.message, detail: { code: error.code } }] })}\n`;
}

function plainBody(error: AppError): string {
  return `${JSON.stringify({ code: error.code, message: error.message })}\n`;
}

function ociCode(error: AppError): string {
  if (error.status === 429) return 'TOOMANYREQUESTS';
  if (error.status === 403) return 'DENIED';
  return error.status >= 500 ? 'UNAVAILABLE' : 'UNSUPPORTED';
}
