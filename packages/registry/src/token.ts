import { AppError } from '@sealift/core';
import type { BearerChallenge } from './auth-challenge.ts';
import { basicAuthorization, checkAuthorization } from './authorization.ts';
import { createAgent } from './connections.ts';
import { discard, exchange, readBody } from './exchange.ts';
import type { ClientCertificate } from './registry-config.ts';
import { checkTrustAnchors, createTrust } from './trust.ts';

/** Longest answer of a token server, in bytes: the token twice, a refresh token, and room. */
const MAX_TOKEN_BODY_BYTES = 256 * 1024;
/** Longest wait for headers and body each, in ms; token servers answer at once or not at all. */
const TOKEN_TIMEOUT_MS = 15_000;

/**
 * Gets a Bearer token from the realm of a challenge (distribution-spec token authentication, GET form). Anonymous
 * without `credentials`. `scope` replaces that of the challenge. Throws `REGISTRY_REFUSED` for 400, 401 and 403,
 * `REGISTRY_UNAVAILABLE` for a realm that is not HTTPS and for any other answer, `AUTHORIZATION_INVALID` for credentials that
 * cannot be sent. A redirect is not followed, since it would show the credentials to another host.
 */
export async function fetchToken({
  challenge,
  scope = challenge.scope,
  credentials,
  caPem,
  own,
  signal,
}: {
  challenge: BearerChallenge;
  scope?: string | undefined;
  credentials?: { username: string; password: string } | undefined;
  caPem?: string | undefined;
  /** What is shown to a realm at the registry's own origin. */
  own?: { readonly origin: string; readonly client: ClientCertificate } | undefined;
  signal: AbortSignal;
}): Promise<string> {
  const url = tokenUrl(challenge, scope);
  const credential = credentials === undefined ? {} : { authorization: basicAuthorization(credentials) };
  if (caPem !== undefined) checkTrustAnchors(caPem);
  const client = own?.origin === url.origin ? own.client : undefined;
  const dispatcher = createAgent({
    trust: createTrust(caPem, client),
    connectTimeoutMs: TOKEN_TIMEOUT_MS,
    maxConnections: 1,
  });
  try {
    const answer = await exchange(url, {
      method: 'GET',
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'sealift', ...credential },
      dispatcher,
      headersTimeoutMs: TOKEN_TIMEOUT_MS,
      bodyTimeoutMs: TOKEN_TIMEOUT_MS,
      signal,
    });
    if (answer.statusCode !== 200) {
      discard(answer, TOKEN_TIMEOUT_MS);
      throw refusal(answer.statusCode);
    }
    const body = await readBody(answer, { maxBytes: MAX_TOKEN_BODY_BYTES, timeoutMs: TOKEN_TIMEOUT_MS, signal });
    return tokenIn(body);
  } finally {
    await dispatcher.destroy();
  }
}

function tokenUrl({ realm, service }: BearerChallenge, scope: string | undefined): URL {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') {
    throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'the token realm is not a plain HTTPS URL' });
  }
  url.hash = '';
  if (service !== undefined) url.searchParams.set('service', service);
  // A scope of several words asks for several scopes (distribution-spec token authentication).
  for (const part of (scope ?? '').split(' ')) if (part !== '') url.searchParams.append('scope', part);
  return url;
}

function refusal(status: number): AppError {
  if (status === 400 || status === 401 || status === 403) {
    return new AppError('REGISTRY_REFUSED', { reason: 'no token', status });
  }
  return new AppError('REGISTRY_UNAVAILABLE', { reason: 'the token server answers out of order', status });
}

function tokenIn(body: Buffer): string {
  const token = parseToken(body);
  if (token === undefined || /\s/.test(token)) {
    throw new AppError('REGISTRY_UNAVAILABLE', { reason: 'the token server sends no token' });
  }
  // The next request carries it: a line break in it would be a second header.
  checkAuthorization(`Bearer ${token}`);
  return token;
}

function parseToken(body: Buffer): string | undefined {
  try {
    const answer: unknown = JSON.parse(body.toString('utf8'));
    if (typeof answer !== 'object' || answer === null) return undefined;
    const { token, access_token: accessToken } = answer as { token?: unknown; access_token?: unknown };
    const found = token ?? accessToken;
    return typeof found === 'string' && found !== '' ? found : undefined;
  } catch {
    // No cause on purpose: the message of a JSON error quotes the text, here a token.
    return undefined;
  }
}
