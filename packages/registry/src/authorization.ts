import { AppError } from '@sealift/core';

/** Longest Authorization header we send, in characters: JWTs with certificate chains have about 6,000. */
const MAX_AUTHORIZATION_LENGTH = 16_384;
/** Printable ASCII only, no space at either end: no line break, so no second header (RFC 9110 §5.5). */
const FIELD_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const BEARER = /^bearer +(?<token>[\w-]+\.[\w-]+\.[\w-]+)$/i;

/** Returns `authorization` if it can be sent as a header; throws `AUTHORIZATION_INVALID`, which does not repeat it. */
export function checkAuthorization(authorization: string): string {
  if (authorization.length > MAX_AUTHORIZATION_LENGTH || !FIELD_VALUE.test(authorization)) {
    throw new AppError('AUTHORIZATION_INVALID', { length: authorization.length });
  }
  return authorization;
}

/** The Basic header of a user (RFC 7617); throws `AUTHORIZATION_INVALID` for a colon or control character in it. */
export function basicAuthorization({ username, password }: { username: string; password: string }): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 7617 §2 forbids exactly these.
  if (username.includes(':') || /[\u0000-\u001f\u007f]/.test(username + password)) {
    throw new AppError('AUTHORIZATION_INVALID', { reason: 'a user name or password with a forbidden character' });
  }
  return checkAuthorization(`Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`);
}

/**
 * When a Bearer JWT ends, in ms since the epoch; `undefined` if the header is something else or names no end. The token
 * is **not verified**: the answer may only ever shorten the life of a verdict that rests on something else.
 */
export function authorizationExpiry(authorization: string | undefined): number | undefined {
  if (authorization === undefined || authorization.length > MAX_AUTHORIZATION_LENGTH) return undefined;
  const payload = BEARER.exec(authorization)?.groups?.['token']?.split('.')[1];
  if (payload === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
    if (typeof claims !== 'object' || claims === null || !('exp' in claims)) return undefined;
    const expiresAt = typeof claims.exp === 'number' ? Math.floor(claims.exp * 1000) : Number.NaN;
    return Number.isSafeInteger(expiresAt) ? expiresAt : undefined;
  } catch {
    // Not a JWT after all: clients must treat tokens as opaque.
    return undefined;
  }
}
