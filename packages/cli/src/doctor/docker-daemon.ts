import http from 'node:http';
import { splitNoProxy } from '../setup/proxy-variables.ts';

/** Longest answer that is read, in bytes; that of a daemon has some kilobytes. */
const MAX_INFO_BYTES = 1024 * 1024;

/** What a dockerd uses now, whatever its files say. */
export interface DaemonInfo {
  readonly httpsProxy: string;
  readonly noProxy: readonly string[];
  readonly mirrors: readonly string[];
}

/** Asks a daemon over its socket (Docker Engine API, `GET /info`). Rejects with the socket's error. */
export async function readDaemonInfo(socketPath: string, { signal }: { signal: AbortSignal }): Promise<DaemonInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<DaemonInfo>();
  const request = http.get({ socketPath, path: '/info', headers: { host: 'docker' }, signal }, (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > MAX_INFO_BYTES) request.destroy(new RangeError('the answer is too long'));
    });
    response.on('end', () => {
      try {
        resolve(parseInfo(text));
      } catch (error) {
        reject(error as Error);
      }
    });
    response.on('error', reject);
  });
  request.on('error', reject);
  return await promise;
}

function parseInfo(text: string): DaemonInfo {
  const { HttpsProxy, NoProxy, RegistryConfig } = JSON.parse(text) as {
    HttpsProxy?: string;
    NoProxy?: string;
    RegistryConfig?: { Mirrors?: readonly string[] | null };
  };
  return {
    httpsProxy: HttpsProxy ?? '',
    noProxy: splitNoProxy(NoProxy ?? ''),
    mirrors: RegistryConfig?.Mirrors ?? [],
  };
}
