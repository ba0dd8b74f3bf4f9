import { AppError, ERROR_CODES } from '@sealift/core';
import type { ErrorBody } from '@sealift/tracker-api';

/** How an error looks from outside. */
export interface Failure {
  readonly status: number;
  readonly body: ErrorBody;
  /** Whether it is a fault of ours, to be logged. */
  readonly isFault: boolean;
}

/**
 * The one place that decides what an error may say to a stranger: what we refuse on purpose has a code and a sentence;
 * a bug says nothing, because its message may hold anything.
 */
export function failureOf(error: unknown): Failure {
  if (error instanceof AppError && ERROR_CODES[error.code].status !== undefined) {
    return { status: error.status, body: { code: error.code, message: error.message }, isFault: false };
  }
  const status = clientErrorOf(error);
  if (status !== undefined) {
    return { status, body: { code: 'INVALID_REQUEST', message: ERROR_CODES.INVALID_REQUEST.summary }, isFault: false };
  }
  return { status: 500, body: { code: 'INTERNAL', message: 'the tracker failed' }, isFault: true };
}

/** fastify's own refusals: a body that is too long, not JSON or against its schema. */
function clientErrorOf(error: unknown): number | undefined {
  const { statusCode, code } = error as { statusCode?: unknown; code?: unknown };
  const isFastify = typeof code === 'string' && code.startsWith('FST_ERR_');
  return isFastify && typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500 ? statusCode : undefined;
}
