import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { SecureContext } from 'node:tls';
import { AppError, type Digest, isAppError, isDigest, parseDigest } from '@sealift/core';
import { LineSplitter } from '../engine/line-splitter.ts';
import { fieldsOf } from '../json-fields.ts';
import { printable } from '../printable.ts';
import type { DockerHost } from './hosts-file.ts';
import { PullProgress } from './pull-progress.ts';

/** The newest Engine API that our calls were read against; an older daemon is spoken to in its own. */
const NEWEST_API = 51;
/** Longest wait for an answer that dockerd gives by itself, in ms. */
const ANSWER_TIMEOUT_MS = 30_000;
/** Longest wait for an answer for which dockerd asks a registry, in ms: a dead name server alone costs it half a minute. */
const REGISTRY_TIMEOUT_MS = 120_000;
/** Longest answer but a pull's, in bytes: what an image says of itself, with room. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
/** Longest line of a pull's progress, in bytes; dockerd's have a few hundred. */
const MAX_LINE_BYTES = 64 * 1024;
/** Longest reason of a dockerd that is passed on, in characters. */
const MAX_REASON = 500;
/** How often the system asks whether the other side of a silent pull is still there, in ms. */
const KEEP_ALIVE_MS = 15_000;

/** An image as dockerd takes it: registry and repository, such as `registry.example:5000/team/app`. */
export type ImageName = string & { readonly __brand: 'ImageName' };

interface CallOptions {
  readonly registryAuth?: string | undefined;
  /** Longest wait for the head of the answer, in ms. */
  readonly waitMs?: number;
  readonly signal: AbortSignal;
}

/** A call about an image in a registry, with the credentials that dockerd is to show there. */
export interface RegistryCall {
  readonly image: ImageName;
  /** The value of `X-Registry-Auth`; `undefined` for nobody in particular. */
  readonly registryAuth: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * One dockerd over mutual TLS (Docker Engine API). Whatever it answers is a stranger's word: bounded, and read for what we need only.
 * Throws `DOCKER_UNAVAILABLE` if it cannot be reached or answers out of order, `DOCKER_REFUSED` with its own reason if it says no;
 * after an abort, the signal's reason.
 */
export class DockerApi {
  readonly #host: DockerHost;
  readonly #agent: Agent;
  readonly #redact: (text: string) => string;
  readonly #answerTimeoutMs: number;
  #version: string | undefined;

  /** `redact` takes out of a reason what must not be printed. `answerTimeoutMs` is for what dockerd answers by itself. */
  constructor({
    host,
    secureContext,
    redact,
    answerTimeoutMs = ANSWER_TIMEOUT_MS,
  }: {
    host: DockerHost;
    secureContext: SecureContext;
    redact: (text: string) => string;
    answerTimeoutMs?: number;
  }) {
    this.#host = host;
    this.#redact = redact;
    this.#answerTimeoutMs = answerTimeoutMs;
    // One call at a time; and no resumed sessions, whose certificates nobody looks at again.
    this.#agent = new Agent({
      keepAlive: true,
      keepAliveMsecs: KEEP_ALIVE_MS,
      maxSockets: 1,
      maxCachedSessions: 0,
      secureContext,
      // Said here, for the environment can switch the check off for those who do not.
      rejectUnauthorized: true,
    });
  }

  /** What the tag means to the registry now, as this dockerd sees it. */
  async resolve({ image, registryAuth, signal }: RegistryCall, tag: string): Promise<Digest> {
    const path = `/distribution/${image}:${tag}/json`;
    const answer = fieldsOf(await this.#ask('GET', path, { registryAuth, waitMs: REGISTRY_TIMEOUT_MS, signal }));
    const digest = fieldsOf(answer.get('Descriptor')).get('digest');
    if (typeof digest !== 'string' || !isDigest(digest)) throw this.#outOfOrder('it names no digest for the tag');
    return parseDigest(digest);
  }

  /** The digests under which this dockerd holds what `reference` (a tag or a digest) of an image names; none if it has none. */
  async digestsOf(
    image: ImageName,
    reference: string,
    { signal }: { signal: AbortSignal },
  ): Promise<readonly string[]> {
    const path = `/images/${image}${isDigest(reference) ? '@' : ':'}${reference}/json`;
    try {
      const digests = fieldsOf(await this.#ask('GET', path, { signal })).get('RepoDigests');
      const texts = Array.isArray(digests) ? digests.filter((text) => typeof text === 'string') : [];
      return texts.map((text) => text.slice(text.indexOf('@') + 1));
    } catch (error) {
      if (isAppError(error, 'DOCKER_REFUSED') && error.details['status'] === 404) return [];
      throw error;
    }
  }

  /** Has the image pulled by digest. `onProgress` is called for each line of dockerd's. Ends when dockerd says that it is there. */
  async pull(
    { image, registryAuth, signal }: RegistryCall,
    { digest, onProgress }: { digest: Digest; onProgress: (progress: PullProgress) => void },
  ): Promise<void> {
    const query = new URLSearchParams({ fromImage: image, tag: digest });
    const response = await this.#call('POST', `/images/create?${query}`, {
      registryAuth,
      waitMs: REGISTRY_TIMEOUT_MS,
      signal,
    });
    const progress = new PullProgress();
    let fault: string | undefined;
    const lines = new LineSplitter({
      maxBytes: MAX_LINE_BYTES,
      onLine: (line) => {
        if (fault !== undefined || line.trim() === '') return;
        try {
          progress.apply(JSON.parse(line));
        } catch {
          // No cause on purpose: the message of a JSON error quotes a stranger's text.
          fault = 'a line of its progress is not JSON';
          response.destroy();
          return;
        }
        onProgress(progress);
      },
      onTooLong: () => {
        fault = 'a line of its progress is too long';
        response.destroy();
      },
    });
    await this.#read(response, { signal, onData: (chunk) => lines.push(chunk) }).catch((error: unknown) => {
      throw fault === undefined ? error : this.#outOfOrder(fault);
    });
    lines.flush();
    if (fault !== undefined) throw this.#outOfOrder(fault);
    // The status was 200 long before: what went wrong since stands in the stream.
    if (progress.failure !== undefined) throw this.#refusal(200, progress.failure);
    if (!(await this.digestsOf(image, digest, { signal })).includes(digest)) {
      throw this.#outOfOrder('it has ended the pull and does not have the image');
    }
  }

  /** Has `tag` mean the image with `digest`, as a pull by tag would. */
  async tag(
    image: ImageName,
    { digest, tag, signal }: { digest: Digest; tag: string; signal: AbortSignal },
  ): Promise<void> {
    const query = new URLSearchParams({ repo: image, tag });
    await this.#ask('POST', `/images/${image}@${digest}/tag?${query}`, { signal });
  }

  /** Cuts its connections. */
  close(): void {
    this.#agent.destroy();
  }

  /** Asks, and reads the answer as JSON; `undefined` for an empty one. */
  async #ask(method: 'GET' | 'POST', path: string, options: CallOptions): Promise<unknown> {
    const response = await this.#call(method, path, options);
    const text = await this.#text(response, options.signal);
    try {
      return text === '' ? undefined : JSON.parse(text);
    } catch {
      // No cause on purpose: the message of a JSON error quotes a stranger's text.
      throw this.#outOfOrder('its answer is not JSON');
    }
  }

  /** The response to a call, once it is known to be a yes. */
  async #call(
    method: 'GET' | 'POST',
    path: string,
    { registryAuth, waitMs = this.#answerTimeoutMs, signal }: CallOptions,
  ): Promise<IncomingMessage> {
    this.#version ??= await this.#negotiate(signal);
    const headers = registryAuth === undefined ? {} : { 'x-registry-auth': registryAuth };
    const response = await this.#send(method, `/${this.#version}${path}`, { headers, waitMs, signal });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    const text = await this.#text(response, signal);
    throw this.#refusal(status, reasonIn(text));
  }

  /** The Engine API to speak: the daemon's, or ours where that is newer. */
  async #negotiate(signal: AbortSignal): Promise<string> {
    const response = await this.#send('GET', '/_ping', { headers: {}, waitMs: this.#answerTimeoutMs, signal });
    await this.#text(response, signal);
    const minor = /^1\.(?<minor>[0-9]{1,3})$/.exec(String(response.headers['api-version']))?.groups?.['minor'];
    if (minor === undefined) throw this.#outOfOrder('it does not say which Engine API it speaks');
    return `v1.${Math.min(Number(minor), NEWEST_API)}`;
  }

  async #send(
    method: 'GET' | 'POST',
    path: string,
    { headers, waitMs, signal }: { headers: Readonly<Record<string, string>>; waitMs: number; signal: AbortSignal },
  ): Promise<IncomingMessage> {
    const { host, port } = this.#host;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const call = request({ host, port, method, path, headers, agent: this.#agent, signal });
    call.once('response', resolve);
    // Stays for errors after the response, which its reader hears of as well.
    call.on('error', reject);
    call.end();
    try {
      return await endLate(promise, { waitMs, end: (fault) => call.destroy(fault) });
    } catch (error) {
      throw signal.aborted ? signal.reason : this.#unreachable(error);
    }
  }

  async #text(response: IncomingMessage, signal: AbortSignal): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > MAX_ANSWER_BYTES) response.destroy(new Error('its answer is too long'));
      else chunks.push(chunk);
    };
    const reading = this.#read(response, { signal, onData });
    await endLate(reading, { waitMs: this.#answerTimeoutMs, end: (fault) => response.destroy(fault) });
    return Buffer.concat(chunks).toString('utf8');
  }

  /** Reads to the end. A body that is cut is none. */
  async #read(
    response: IncomingMessage,
    { signal, onData }: { signal: AbortSignal; onData: (chunk: Buffer) => void },
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (): void => void response.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    response.on('data', onData);
    response.once('end', resolve);
    response.once('error', reject);
    response.once('close', () => reject(new Error('it ended in the middle of its answer')));
    try {
      await promise;
    } catch (error) {
      throw signal.aborted ? signal.reason : this.#unreachable(error);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #unreachable(error: unknown): AppError {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = this.#clean(code === undefined || message.includes(code) ? message : `${message} (${code})`);
    return new AppError('DOCKER_UNAVAILABLE', { host: this.#host.name, reason }, { cause: error });
  }

  #outOfOrder(reason: string): AppError {
    return new AppError('DOCKER_UNAVAILABLE', { host: this.#host.name, reason });
  }

  #refusal(status: number, reason: string): AppError {
    return new AppError('DOCKER_REFUSED', { host: this.#host.name, reason: this.#clean(reason), status });
  }

  #clean(text: string): string {
    // In this order: a secret that was cut could not be found any more. The text has a bound, as all that we read.
    return printable(this.#redact(text)).slice(0, MAX_REASON);
  }
}

/** Waits for `work`, which `end` makes fail if it takes longer than `waitMs`. */
async function endLate<T>(
  work: Promise<T>,
  { waitMs, end }: { waitMs: number; end: (fault: Error) => void },
): Promise<T> {
  const timer = setTimeout(() => end(new Error('it does not answer in time')), waitMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

/** Why dockerd says no: its JSON has a message, what stands before it may say it in plain text. */
function reasonIn(text: string): string {
  try {
    const message = fieldsOf(JSON.parse(text)).get('message');
    if (typeof message === 'string') return message;
  } catch {
    // Not JSON: then the text itself.
  }
  return text.trim();
}
