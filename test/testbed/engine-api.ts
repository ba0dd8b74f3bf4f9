import { request } from 'node:http';
import { createInterface } from 'node:readline';

/** A line of the progress that the Engine reports during a pull. */
export interface PullProgress {
  readonly status?: string;
  readonly id?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  readonly error?: string;
}

/** How a pull through the Engine API ended: `error` is what `docker pull` would have shown. */
export interface PullOutcome {
  readonly status: number;
  readonly error: string | undefined;
}

/**
 * Pulls `image:tag` over the daemon's socket (Docker Engine API 1.41, `POST /images/create`). With `registryToken` the daemon
 * shows this very Bearer token to the registry and asks no token service.
 */
export function pullByApi(
  socketPath: string,
  o: {
    image: string;
    tag: string;
    registryToken?: string;
    onProgress?: (progress: PullProgress) => void;
    signal: AbortSignal;
  },
): Promise<PullOutcome> {
  const query = new URLSearchParams({ fromImage: o.image, tag: o.tag });
  // The Engine wants the URL-safe alphabet with padding; without it takes the pull for an anonymous one.
  const auth = o.registryToken === undefined ? {} : { registrytoken: o.registryToken };
  const header = Buffer.from(JSON.stringify(auth)).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
  return new Promise((resolve, reject) => {
    const call = request({
      socketPath,
      method: 'POST',
      path: `/v1.41/images/create?${query}`,
      headers: { 'x-registry-auth': header },
      signal: o.signal,
    });
    call.once('error', reject);
    call.once('response', (response) => {
      const status = response.statusCode ?? 0;
      let error: string | undefined;
      response.once('error', reject);
      createInterface({ input: response })
        .on('line', (line) => {
          if (line.trim() === '') return;
          const progress = JSON.parse(line) as PullProgress & { message?: string };
          error ??= progress.error ?? progress.message;
          o.onProgress?.(progress);
        })
        .once('close', () => resolve({ status, error }));
    });
    call.end();
  });
}
