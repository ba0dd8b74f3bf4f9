import { AppError, isAppError } from '@sealift/core';

/** What failed, for codes of Node and undici that an operator can act on. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name not found for now',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'the body stalls',
  UND_ERR_SOCKET: 'connection closed before the end',
  UND_ERR_HEADERS_OVERFLOW: 'headers too long',
  UND_ERR_MAX_ORIGINS_REACHED: 'redirects to too many hosts at once',
  UND_ERR_DESTROYED: 'the client is closed',
  UND_ERR_CLOSED: 'the client is closed',
};

/** `REGISTRY_UNAVAILABLE` for a failure below HTTP; an `AppError` comes back as it is. */
export function unavailable(error: unknown): AppError {
  if (isAppError(error)) return error;
  const code = codeOf(error);
  const reason = (code === undefined ? undefined : REASONS[code]) ?? 'connection failed';
  return new AppError('REGISTRY_UNAVAILABLE', { reason, cause: code }, { cause: withoutBytes(error) });
}

/** The `code` of an error of Node or undici. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** undici's parser errors carry the bytes that did not parse, which may hold a signed URL. */
function withoutBytes(error: unknown): unknown {
  return error instanceof Error && 'data' in error ? new Error(error.message) : error;
}
