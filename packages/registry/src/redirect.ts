import { AppError } from '@sealift/core';

/** Redirects followed for one blob or manifest. Registries use one, sometimes two. */
export const MAX_REDIRECTS = 5;
/** Longest `Location`, in characters; signed URLs of the large clouds have up to about 2,500. */
const MAX_LOCATION_LENGTH = 8192;

/** Whether a GET goes on elsewhere (RFC 9110 §15.4). */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/**
 * Where a redirect leads: HTTPS only, and no user name in the URL, for that would be a credential of the registry's
 * choosing. Throws `REGISTRY_UNAVAILABLE`, which names no URL: it may be a signed one.
 */
export function redirectTarget(location: string | string[] | undefined, from: URL): URL {
  if (typeof location !== 'string' || location.length > MAX_LOCATION_LENGTH) throw refused('no usable Location');
  if (!URL.canParse(location, from.href)) throw refused('no usable Location');
  const target = new URL(location, from);
  if (target.protocol !== 'https:') throw refused('a redirect away from HTTPS');
  if (target.username !== '' || target.password !== '') throw refused('a redirect with credentials in its URL');
  target.hash = '';
  return target;
}

function refused(reason: string): AppError {
  return new AppError('REGISTRY_UNAVAILABLE', { reason });
}
