import { existsSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { AppError } from '@sealift/core';
import type { ConfigOf } from '../config.ts';
import { errnoOf } from '../failure.ts';
import { readNodeStatus } from '../node-admin.ts';
import { type Endpoint, isUnspecified } from '../option-values.ts';
import type { HEALTH_OPTIONS } from '../options.ts';

/** Longest wait for the head of the tracker's answer, in ms; whoever asks for its health waits little longer. */
const TIMEOUT_MS = 3_000;

/**
 * `sealift health`: whether the node or the tracker of this data directory answers, for those who start it again otherwise. A
 * node whose tracker is away is well: it serves as a proxy. Throws `NOT_HEALTHY`.
 */
export async function runHealth({ data, listen }: ConfigOf<typeof HEALTH_OPTIONS>): Promise<void> {
  try {
    if (existsSync(join(data, 'tracker.sqlite'))) await askTracker(listen);
    else await readNodeStatus(data);
  } catch (cause) {
    throw new AppError('NOT_HEALTHY', { data, reason: errnoOf(cause) ?? (cause as Error).message }, { cause });
  }
}

async function askTracker({ host, port }: Endpoint): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  const request = https.get({
    host: isUnspecified({ host }) ? 'localhost' : host,
    port,
    path: '/healthz',
    // The question is whether it answers: nothing is sent, and nothing that it says is believed.
    rejectUnauthorized: false,
    agent: false,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  request.on('error', reject);
  request.on('response', (response) => {
    response.destroy();
    resolve(response.statusCode);
  });
  const status = await promise;
  if (status !== 200) throw new AppError('TRACKER_UNAVAILABLE', { reason: `it answered ${status}` });
}
