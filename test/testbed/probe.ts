import path from 'node:path';
import type { Host } from './host.ts';
import type { KeyPair } from './upstream-pki.ts';

/** A request that a test makes itself, byte by byte as it likes, instead of through a Docker client. */
export interface ProbeRequest {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Files with the trust anchors to believe, instead of the system's. */
  readonly trust: readonly string[];
  /** What to show to a server that asks for it. */
  readonly client?: KeyPair | undefined;
  /** `host:port` of an HTTP proxy to CONNECT through. */
  readonly proxy?: string;
}

/** What came back. */
export interface ProbeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Length and SHA-256 of the body. */
  readonly bytes: number;
  readonly digest: string;
  /** The first kilobyte of the body. */
  readonly text: string;
  /** SHA-256 of the certificate that the server showed, as `AA:BB:…`; empty for plain HTTP. */
  readonly certificate: string;
}

/** Longest time of one request, in ms. */
const PROBE_TIMEOUT_MS = 60_000;

/** Makes the request from inside a host's network. Fails if no whole answer comes. */
export async function probe(host: Host, request: ProbeRequest): Promise<ProbeAnswer> {
  const main = path.join(import.meta.dirname, 'probe-main.ts');
  const input = JSON.stringify(request);
  const text = await host.runOrThrow([process.execPath, main], { input, timeoutMs: PROBE_TIMEOUT_MS });
  return JSON.parse(text) as ProbeAnswer;
}
