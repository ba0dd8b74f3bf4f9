import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Digest } from '@sealift/core';
import { parseByteRange } from './byte-range.ts';

/** The head of an answer about a blob, and the part `[start, end)` of the blob that follows it. */
export interface BlobHead {
  readonly status: 200 | 206 | 416;
  readonly start: number;
  readonly end: number;
  readonly headers: readonly string[];
}

/** The head that answers `request` for a blob of `size` bytes (OCI distribution-spec, pulling blobs; RFC 9110 §14). */
export function blobHead(request: IncomingMessage, { digest, size }: { digest: Digest; size: number }): BlobHead {
  // The digest names the bytes, so it is as strong a validator as there can be.
  const etag = `"${digest}"`;
  const { range: text, 'if-range': ifRange } = request.headers;
  // RFC 9110 §14.2: Range means something for GET only.
  const range = parseByteRange(request.method === 'GET' ? text : undefined, { size, etag, ifRange: single(ifRange) });
  const [status, start, end] =
    range.kind === 'part'
      ? ([206, range.start, range.end] as const)
      : range.kind === 'whole'
        ? ([200, 0, size] as const)
        : ([416, 0, 0] as const);
  const contentRange = { 200: [], 206: [`bytes ${start}-${end - 1}/${size}`], 416: [`bytes */${size}`] }[status];
  const headers = [
    ...['Content-Type', 'application/octet-stream'],
    ...['Content-Length', String(end - start)],
    ...contentRange.flatMap((value) => ['Content-Range', value]),
    ...['Docker-Content-Digest', digest],
    ...['Docker-Distribution-Api-Version', 'registry/2.0'],
    ...['ETag', etag],
    ...['Accept-Ranges', 'bytes'],
  ];
  return { status, start, end, headers };
}

/** Sends a head. */
export function writeBlobHead(response: ServerResponse, { status, headers }: BlobHead): void {
  response.writeHead(status, STATUS_CODES[status], [...headers]);
}

function single(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
