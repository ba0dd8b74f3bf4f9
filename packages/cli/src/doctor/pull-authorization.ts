import { AppError, parseRegistryHost } from '@sealift/core';
import {
  type BearerChallenge,
  basicAuthorization,
  fetchToken,
  type RegistryConfig,
  upstreamOrigin,
} from '@sealift/registry';
import { readBody, requestOnce } from '../demo/proxied-request.ts';
import { fieldsOf } from '../json-fields.ts';
import { systemAnchors } from './anchors.ts';
import type { StoredLogin } from './auth-file.ts';
import type { Subject } from './subject.ts';

/** Longest answer of a token service, in bytes: the token twice, a refresh token, and room. */
const MAX_TOKEN_BYTES = 256 * 1024;

/**
 * What a runtime would show to the registry for a pull of this image; `undefined` for nothing. Throws as `fetchToken`, and what
 * the connection to the token service threw.
 */
export async function authorizePull(
  { image, learned: { challenge } }: Subject,
  login: StoredLogin,
  { config, signal }: { config: RegistryConfig; signal: AbortSignal },
): Promise<string | undefined> {
  if (challenge === undefined) return undefined;
  if (challenge.scheme === 'basic') return login.kind === 'password' ? basicAuthorization(login) : undefined;
  const scope = `repository:${image.repository}:pull`;
  if (login.kind === 'refresh token')
    return `Bearer ${await refresh(challenge, { scope, token: login.token, caPem: config.caPem ?? '', signal })}`;
  const { caPem, client } = config;
  const own = client === undefined ? undefined : { origin: upstreamOrigin(image.registry), client };
  const credentials = login.kind === 'password' ? login : undefined;
  return `Bearer ${await fetchToken({ challenge, scope, credentials, caPem, own, signal })}`;
}

/** Exchanges what `docker login` got for a token (distribution-spec OAuth2, `grant_type=refresh_token`). Throws as `fetchToken`. */
async function refresh(
  { realm, service = '' }: BearerChallenge,
  { scope, token, caPem, signal }: { scope: string; token: string; caPem: string; signal: AbortSignal },
): Promise<string> {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  if (url?.protocol !== 'https:') throw unavailable('the token realm is not a plain HTTPS URL');
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'sealift',
    service,
    scope,
    refresh_token: token,
  });
  const response = await requestOnce(
    { proxy: undefined, trustAnchors: `${systemAnchors()}\n${caPem}` },
    parseRegistryHost(url.host),
    {
      method: 'POST',
      path: `${url.pathname}${url.search}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
      signal,
    },
  );
  const { statusCode: status = 0 } = response;
  if (status !== 200) {
    response.destroy();
    if (status === 400 || status === 401 || status === 403) throw new AppError('REGISTRY_REFUSED', { status });
    throw unavailable(`the token service answers ${status}`);
  }
  const fields = fieldsOf(parse(await readBody(response, MAX_TOKEN_BYTES)));
  const found = fields.get('access_token') ?? fields.get('token');
  if (typeof found !== 'string' || found === '') throw unavailable('the token service sends no token');
  return found;
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    // No cause on purpose: the message of a JSON error quotes the text, here a token.
    return undefined;
  }
}

function unavailable(reason: string): AppError {
  return new AppError('REGISTRY_UNAVAILABLE', { reason });
}
