/** One request in the registry's own access log. */
export interface AccessLogEntry {
  readonly client: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Body bytes that the registry wrote. */
  readonly bytes: number;
}

/** What the registry gave out of one blob. */
export interface BlobTraffic {
  /** GET requests that it answered with content. */
  readonly gets: number;
  readonly bytes: number;
}

/** Apache's combined log format, as docker-registry 2.8 writes it among its other lines. */
const COMBINED = /^(\S+) \S+ \S+ \[[^\]]*\] "(\S+) (\S+) [^"]*" (\d{3}) (\d+|-) /;
const BLOB = /^\/v2\/.+\/blobs\/(sha256:[0-9a-f]{64})(?:\?|$)/;
const MANIFEST = /^\/v2\/.+\/manifests\/([^/?]+)(?:\?|$)/;

/** The entry of a line; `undefined` for the registry's other lines. */
export function parseAccessLogLine(line: string): AccessLogEntry | undefined {
  const [, client, method, path, status, bytes] = COMBINED.exec(line) ?? [];
  if (client === undefined || method === undefined || path === undefined) return undefined;
  return { client, method, path, status: Number(status), bytes: bytes === '-' ? 0 : Number(bytes) };
}

/** How often each manifest was asked for and given, by tag or digest. */
export function manifestReads(entries: readonly AccessLogEntry[], method: 'GET' | 'HEAD'): ReadonlyMap<string, number> {
  const reads = new Map<string, number>();
  for (const entry of entries) {
    const reference = MANIFEST.exec(entry.path)?.[1];
    if (reference === undefined || entry.method !== method || entry.status !== 200) continue;
    reads.set(reference, (reads.get(reference) ?? 0) + 1);
  }
  return reads;
}

/** Sums what went out, by digest. */
export function blobTraffic(entries: readonly AccessLogEntry[]): ReadonlyMap<string, BlobTraffic> {
  const traffic = new Map<string, BlobTraffic>();
  for (const { method, path, status, bytes } of entries) {
    const digest = BLOB.exec(path)?.[1];
    if (digest === undefined || method !== 'GET' || (status !== 200 && status !== 206)) continue;
    const { gets, bytes: earlier } = traffic.get(digest) ?? { gets: 0, bytes: 0 };
    traffic.set(digest, { gets: gets + 1, bytes: earlier + bytes });
  }
  return traffic;
}
