import { createHash } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { type Digest, digestFromSha256, isAppError, parseRegistryHost } from '@sealift/core';
import { answerQuestions } from '../bench/harness/party-side.ts';
import { type ClientOrder, clientOf, type Pushed, type PushOrder, push } from '../bench/rollout/client-order.ts';
import { requestOnce } from '../packages/cli/src/demo/proxied-request.ts';
import { fillLayer, LayerCheck } from './content.ts';

/** How one pull of a whole image ended, as a container runtime without any patience would see it. */
export interface Outcome {
  readonly seconds: number;
  readonly bytes: number;
  /** A digest did not match: wrong bytes in a well-formed answer. */
  readonly isWrong: boolean;
  /** Some byte of a layer was not what it must be, be it in a body that was cut off. */
  readonly hasFalseBytes: boolean;
  /** Why it failed; absent where it did not. */
  readonly error?: string;
}

/** An image whose layers follow from seeds, in their order. */
export interface SeededPushOrder extends PushOrder {
  readonly contentSeeds: readonly string[];
}

/** A pull that is given up after `timeoutMs`. */
export interface PullOrder extends ClientOrder {
  readonly timeoutMs: number;
  /** The seed of each layer's content. */
  readonly content: readonly { readonly digest: Digest; readonly seed: string }[];
}

/** The same blob, many times at once. */
export interface FloodOrder extends PullOrder {
  readonly digest: Digest;
  readonly requests: number;
}

/** What came of many requests. */
export interface Flooded {
  readonly failed: number;
  readonly wrong: number;
  /** Times from the first request to the end of a body, in ms, in ascending order. */
  readonly latenciesMs: readonly number[];
  readonly errors: readonly string[];
}

const news = new EventEmitter();
/** Bytes of blobs since the last pull began. */
let received = 0;
let running = 0;

async function pushSeeded(order: SeededPushOrder): Promise<Pushed> {
  return await push(order, { fill: (bytes, layer) => fillLayer(bytes, order.contentSeeds[layer] ?? '') });
}

async function pull(order: PullOrder): Promise<Outcome> {
  const checks = new Map(order.content.map(({ digest, seed }) => [digest, new LayerCheck(seed)]));
  const hasFalseBytes = (): boolean => [...checks.values()].some(({ isRight }) => !isRight);
  const startedAt = performance.now();
  const since = (): number => (performance.now() - startedAt) / 1000;
  if (running === 0) received = 0;
  running += 1;
  let bytes = 0;
  try {
    const client = await clientOf(order);
    await client.pull(order.tag, {
      signal: AbortSignal.timeout(order.timeoutMs),
      onBytes: (count, { digest, chunk }) => {
        checks.get(digest)?.take(chunk);
        bytes += count;
        received += count;
        news.emit('news');
      },
    });
    return { seconds: since(), bytes, isWrong: false, hasFalseBytes: hasFalseBytes() };
  } catch (error) {
    const isWrong = isAppError(error, 'PIECE_REJECTED');
    return { seconds: since(), bytes, isWrong, hasFalseBytes: hasFalseBytes(), error: said(error) };
  } finally {
    running -= 1;
    news.emit('news');
  }
}

/** Resolves once so many bytes have come, with `false` if all pulls have ended before. */
async function reached({ bytes }: { bytes: number }): Promise<boolean> {
  while (received < bytes && running > 0) await once(news, 'news');
  return received >= bytes && running > 0;
}

async function flood(order: FloodOrder): Promise<Flooded> {
  const signal = AbortSignal.timeout(order.timeoutMs);
  const client = await clientOf(order);
  const authorization = await client.authorize('pull', signal);
  const anchors = await Promise.all(order.trust.map((file) => readFile(file, 'utf8')));
  const route = { proxy: order.proxy, trustAnchors: anchors.join('\n') };
  const path = `/v2/${order.repository}/blobs/${order.digest}`;
  const startedAt = performance.now();
  const latenciesMs: number[] = [];
  const errors: string[] = [];
  let wrong = 0;
  const one = async (): Promise<void> => {
    try {
      const headers = authorization === undefined ? {} : { authorization };
      const options = { method: 'GET', path, headers, signal };
      const response = await requestOnce(route, parseRegistryHost(order.registry), options);
      const hash = createHash('sha256');
      response.on('data', (chunk: Buffer) => hash.update(chunk));
      await finished(response);
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      if (digestFromSha256(hash.digest()) !== order.digest) wrong += 1;
      latenciesMs.push(performance.now() - startedAt);
    } catch (error) {
      errors.push(said(error));
    }
  };
  await Promise.all(Array.from({ length: order.requests }, one));
  return { failed: errors.length, wrong, latenciesMs, errors: [...new Set(errors)].slice(0, 5) };
}

function said(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

// Each question that waits listens once.
news.setMaxListeners(0);
answerQuestions({ push: pushSeeded, pull, reached, flood });
