import type { RegistryHost } from '@sealift/core';
import {
  type BearerChallenge,
  basicAuthorization,
  fetchToken,
  type RegistryConfig,
  upstreamOrigin,
} from '@sealift/registry';
import { readBody, requestOnce } from '../demo/proxied-request.ts';
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

/** Exchanges what `docker login` got for a token (distribution-spec OAuth2, `grant_type=refresh_token`). */
async function refresh(
  { realm, service = '' }: BearerChallenge,
  { scope, token, caPem, signal }: { scope: string; token: string; caPem: string; signal: AbortSignal },
): Promise<string> {
  const url = new URL(realm);
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'sealift',
    service,
    scope,
    refresh_token: token,
  });
  const response = await requestOnce(
    { proxy: undefined, trustAnchors: `${systemAnchors()}\n${caPem}` },
    url.host as RegistryHost,
    {
      method: 'POST',
      path: `${url.pathname}${url.search}`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
      signal,
    },
  );
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`the token service answers ${response.statusCode}`);
  }
  const { access_token: access, token: plain } = JSON.parse(
    (await readBody(response, MAX_TOKEN_BYTES)).toString('utf8'),
  ) as {
    access_token?: string;
    token?: string;
  };
  return access ?? plain ?? '';
}
