import { type Digest, isAppError } from '@sealift/core';
import { parseContentLength } from './content-range.ts';
import type { Answer } from './exchange.ts';
import { redirectTarget } from './redirect.ts';

/**
 * What a HEAD of a blob says about the right to pull it. `no` is the registry's own refusal (401, 403 or 404);
 * `unavailable` says nothing either way, and whoever grants rights must not take it for a yes.
 */
export type HeadVerdict =
  | { readonly kind: 'yes' /** Bytes of the blob, if told. */; readonly size: number | undefined }
  | { readonly kind: 'no'; readonly status: number }
  | { readonly kind: 'unavailable'; readonly reason: string };

/**
 * Reads the verdict from an answer. 302 and 307 send a client that may pull to where the bytes are, which is a yes. The other
 * redirects are about the address and not about the right (301, 308: the registry has moved; 303: read a page), and a page
 * in HTML comes from a gateway that stands before the registry: neither proves anything.
 */
export function blobVerdict(
  { statusCode, headers }: Pick<Answer, 'statusCode' | 'headers'>,
  digest: Digest,
  url: URL,
): HeadVerdict {
  if (statusCode === 401 || statusCode === 403 || statusCode === 404) return { kind: 'no', status: statusCode };
  if (statusCode === 302 || statusCode === 307) {
    try {
      redirectTarget(headers['location'], url);
      return { kind: 'yes', size: undefined };
    } catch (error) {
      return {
        kind: 'unavailable',
        reason: isAppError(error) ? String(error.details['reason']) : 'no usable Location',
      };
    }
  }
  if (statusCode !== 200) return { kind: 'unavailable', reason: `an unexpected status, ${statusCode}` };
  if (/^text\/html\b/i.test(String(headers['content-type'] ?? ''))) {
    return { kind: 'unavailable', reason: 'a page instead of a blob' };
  }
  const named = headers['docker-content-digest'];
  if (named !== undefined && named !== digest) return { kind: 'unavailable', reason: 'another digest than asked for' };
  const isEncoded = headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity';
  const size = isEncoded ? undefined : parseContentLength(headers['content-length']);
  // No blob of use is empty: some registries write 0 where they mean that they do not say.
  return { kind: 'yes', size: size === 0 ? undefined : size };
}
