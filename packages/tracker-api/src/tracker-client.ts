import { AppError, isAppError } from '@sealift/core';
import { Compile } from 'typebox/compile';
import { type Dispatcher, request } from 'undici';
import {
  ClusterInfo,
  EnrolAnswer,
  type EnrolRequest,
  ErrorBody,
  JoinAnswer,
  type JoinRequest,
  ManifestAnswer,
  type ManifestRequest,
  ReachAnswer,
  type ReachRequest,
  RefreshAnswer,
  type RefreshRequest,
  type RenewRequest,
  type ReportRequest,
} from './messages.ts';
import { TRACKER_PATHS } from './paths.ts';

/** Longest answer we read, in bytes: a join answer with the hash list of the largest blob, or an inline blob, in base64. */
const MAX_ANSWER_LENGTH = 16 * 1024 * 1024;

/** Default of `timeoutMs`: longer than the tracker's own deadlines for registry and seeder together. */
const DEFAULT_TIMEOUT_MS = 30_000;

const CLOCK_ADVICE = 'Compare the clocks of this host and the tracker.';

const checks = {
  cluster: Compile(ClusterInfo),
  enrol: Compile(EnrolAnswer),
  join: Compile(JoinAnswer),
  manifest: Compile(ManifestAnswer),
  reach: Compile(ReachAnswer),
  refresh: Compile(RefreshAnswer),
  error: Compile(ErrorBody),
};

interface Check<T> {
  Check(value: unknown): value is T;
}

/**
 * A node's side of the tracker's JSON API. Every call throws `TRACKER_UNAVAILABLE` when there is no usable answer in time,
 * and `TRACKER_REFUSED` with the tracker's `code` when the answer is a refusal. What comes back fits its schema.
 */
export class TrackerClient {
  readonly #origin: string;
  readonly #dispatcher: () => Dispatcher;
  readonly #timeoutMs: number;

  /** `dispatcher` is asked at each call, because it changes with the certificate. `timeoutMs` spans a whole call. */
  constructor({
    origin,
    dispatcher,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  }: {
    origin: string;
    dispatcher: () => Dispatcher;
    timeoutMs?: number;
  }) {
    this.#origin = origin;
    this.#dispatcher = dispatcher;
    this.#timeoutMs = timeoutMs;
  }

  /** What is public about the cluster. Trust the anchors in it only if this connection was already verified. */
  async cluster({ signal }: { signal: AbortSignal }): Promise<ClusterInfo> {
    return this.#parse(checks.cluster, await this.#call('GET', TRACKER_PATHS.cluster, undefined, signal));
  }

  /** A first certificate, for a join token. */
  async enrol(body: EnrolRequest, { signal }: { signal: AbortSignal }): Promise<EnrolAnswer> {
    return this.#parse(checks.enrol, await this.#call('POST', TRACKER_PATHS.enrol, body, signal));
  }

  /** A certificate for a new key, for the present certificate. */
  async renew(body: RenewRequest, { signal }: { signal: AbortSignal }): Promise<EnrolAnswer> {
    return this.#parse(checks.enrol, await this.#call('POST', TRACKER_PATHS.renew, body, signal));
  }

  /** The right to one blob, and what the seeder offers of it. */
  async join(body: JoinRequest, { signal }: { signal: AbortSignal }): Promise<JoinAnswer> {
    return this.#parse(checks.join, await this.#call('POST', TRACKER_PATHS.join, body, signal));
  }

  /** A manifest by its digest. What comes is **not verified**. */
  async manifest(body: ManifestRequest, { signal }: { signal: AbortSignal }): Promise<ManifestAnswer> {
    return this.#parse(checks.manifest, await this.#call('POST', TRACKER_PATHS.manifest, body, signal));
  }

  /** New grants for old ones; the answer has one entry for each, in the same order. */
  async refresh(body: RefreshRequest, { signal }: { signal: AbortSignal }): Promise<RefreshAnswer> {
    const answer = this.#parse(checks.refresh, await this.#call('POST', TRACKER_PATHS.grants, body, signal));
    if (answer.grants.length !== body.grants.length)
      throw unavailable('the answer has another length than the request');
    return answer;
  }

  /** Tells the tracker about a peer that broke the rules. */
  async report(body: ReportRequest, { signal }: { signal: AbortSignal }): Promise<void> {
    await this.#call('POST', TRACKER_PATHS.reports, body, signal);
  }

  /** Whether the tracker reaches this node where it listens for peers. A no takes some seconds. */
  async reach(body: ReachRequest, { signal }: { signal: AbortSignal }): Promise<ReachAnswer> {
    return this.#parse(checks.reach, await this.#call('POST', TRACKER_PATHS.reach, body, signal));
  }

  async #call(method: 'GET' | 'POST', path: string, body: object | undefined, signal: AbortSignal): Promise<unknown> {
    try {
      const answer = await request(`${this.#origin}${path}`, {
        method,
        dispatcher: this.#dispatcher(),
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]),
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      });
      const value = parseJson(await readBounded(answer.body));
      if (answer.statusCode >= 200 && answer.statusCode < 300) return value;
      throw refusal(answer.statusCode, value);
    } catch (cause) {
      if (isAppError(cause)) throw cause;
      throw unavailable(signal.aborted ? 'the call was given up' : 'no answer', cause);
    }
  }

  #parse<T>(check: Check<T>, value: unknown): T {
    if (!check.Check(value)) throw unavailable('the answer does not fit its schema');
    return value;
  }
}

async function readBounded(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += (chunk as Buffer).length;
    // Leaving the loop destroys the body, and with it the connection.
    if (length > MAX_ANSWER_LENGTH) throw unavailable('the answer is too long');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks, length).toString('utf8');
}

/** `undefined` for what is not JSON: no schema lets it pass, and an error would quote text that may hold a grant. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Expected: a report is answered without a body, and a proxy in between may answer with a page.
    return undefined;
  }
}

function refusal(status: number, value: unknown): AppError {
  if (status >= 500) return unavailable(`the tracker answered ${status}`);
  const code = checks.error.Check(value) ? value.code : undefined;
  return new AppError('TRACKER_REFUSED', { status, code });
}

function unavailable(reason: string, cause?: unknown): AppError {
  const { code } = (cause ?? {}) as { code?: unknown };
  // OpenSSL's names. The tracker renews its certificate long before its end, so it is a clock that is wrong.
  const isSkewed = code === 'CERT_NOT_YET_VALID' || code === 'CERT_HAS_EXPIRED';
  return isSkewed
    ? new AppError(
        'TRACKER_UNAVAILABLE',
        { reason: 'its certificate is not valid now', advice: CLOCK_ADVICE },
        { cause },
      )
    : new AppError('TRACKER_UNAVAILABLE', { reason }, { cause });
}
