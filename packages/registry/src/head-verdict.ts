import type { Digest } from '@sealift/core';
import { parseContentLength, parseContentRange } from './content-range.ts';
import type { Answer } from './exchange.ts';

/**
 * What the registry says about the right to pull a blob. `no` is its own refusal (401, 403 or 404); `unavailable` says
 * nothing either way, and whoever grants rights must not take it for a yes.
 */
export type HeadVerdict =
  | { readonly kind: 'yes' /** Bytes of the blob, if told. */; readonly size: number | undefined }
  | { readonly kind: 'no'; readonly status: number }
  | { readonly kind: 'unavailable'; readonly reason: string };

type Head = Pick<Answer, 'statusCode' | 'headers'>;

/** The one byte that {@link byteVerdict} wants to see. */
export const FIRST_BYTE = 'bytes=0-0';

/**
 * Whether the answer to a HEAD sends a client to where the bytes are. The other redirects are about the address and not about
 * the right (301, 308: the registry has moved; 303: read a page).
 */
export function leadsElsewhere({ statusCode }: Head): boolean {
  return statusCode === 302 || statusCode === 307;
}

/** Reads the verdict from the registry's own answer to a HEAD of the blob. */
export function headVerdict(answer: Head, digest: Digest): HeadVerdict {
  const { statusCode, headers } = answer;
  if (isRefusal(statusCode)) return { kind: 'no', status: statusCode };
  if (statusCode !== 200) return unavailable(`an unexpected status, ${statusCode}`);
  const problem = problemOf(answer, digest);
  if (problem !== undefined) return unavailable(problem);
  return { kind: 'yes', size: sizeOf(headers) };
}

/**
 * Reads the verdict from the answer to a GET of {@link FIRST_BYTE}, after all redirects. A gateway before the registry sends
 * strangers to a page where they may log in, and the registry sends who may pull to the bytes: only the bytes tell the one
 * from the other: a 206 of that very byte, or a 200 whose type is none that a page or an error has.
 */
export function byteVerdict(answer: Head, digest: Digest, { isElsewhere }: { isElsewhere: boolean }): HeadVerdict {
  const { statusCode, headers } = answer;
  // A no of a host that we were sent to, such as a signed URL that has ended, is not the registry's no.
  if (isRefusal(statusCode) && !isElsewhere) return { kind: 'no', status: statusCode };
  const problem = problemOf(answer, digest);
  if (problem !== undefined) return unavailable(problem);
  if (statusCode === 206) {
    const range = parseContentRange(headers['content-range']);
    if (range?.first === 0 && range.last === 0) return { kind: 'yes', size: range.size };
  }
  // A host that knows no ranges sends the blob from its start. Who names the digest may call it what they like.
  if (statusCode === 200 && (headers['docker-content-digest'] === digest || !isReadable(headers))) {
    return { kind: 'yes', size: sizeOf(headers) };
  }
  return unavailable(`a redirect to something else than the blob, ${statusCode}`);
}

/** Why an answer cannot be about this blob. A page in HTML comes from a gateway that stands before the registry. */
function problemOf({ headers }: Head, digest: Digest): string | undefined {
  if (/^text\/html\b/i.test(String(headers['content-type'] ?? ''))) return 'a page instead of a blob';
  const named = headers['docker-content-digest'];
  return named === undefined || named === digest ? undefined : 'another digest than asked for';
}

/** Whether an answer is made for people or their browsers to read, as pages and errors are and layers are not. */
function isReadable(headers: Answer['headers']): boolean {
  return /^(?:text|image)\/|json|xml|javascript/i.test(String(headers['content-type'] ?? ''));
}

function sizeOf(headers: Answer['headers']): number | undefined {
  const isEncoded = headers['content-encoding'] !== undefined && headers['content-encoding'] !== 'identity';
  const size = isEncoded ? undefined : parseContentLength(headers['content-length']);
  // No blob of use is empty: some registries write 0 where they mean that they do not say.
  return size === 0 ? undefined : size;
}

function isRefusal(status: number): boolean {
  return status === 401 || status === 403 || status === 404;
}

function unavailable(reason: string): HeadVerdict {
  return { kind: 'unavailable', reason };
}
