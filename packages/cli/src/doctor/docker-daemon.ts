import http from 'node:http';
import { fieldsOf } from '../json-fields.ts';
import { splitNoProxy } from '../setup/proxy-variables.ts';

/** Longest answer that is read, in bytes; that of a daemon has some kilobytes. */
const MAX_INFO_BYTES = 1024 * 1024;

/** What a dockerd uses now, whatever its files say. */
export interface DaemonInfo {
  readonly httpsProxy: string;
  readonly noProxy: readonly string[];
  readonly mirrors: readonly string[];
}

/** Asks a daemon over its socket (Docker Engine API, `GET /info`). Rejects with the socket's error, and for any other answer. */
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
        if (response.statusCode !== 200) throw new Error(`it answers ${response.statusCode}`);
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
  const info = fieldsOf(JSON.parse(text));
  const textOf = (name: string): string => {
    const value = info.get(name);
    return typeof value === 'string' ? value : '';
  };
  const mirrors = fieldsOf(info.get('RegistryConfig')).get('Mirrors');
  return {
    httpsProxy: textOf('HttpsProxy'),
    noProxy: splitNoProxy(textOf('NoProxy')),
    mirrors: Array.isArray(mirrors) ? mirrors.filter((mirror) => typeof mirror === 'string') : [],
  };
}
