import type { SecureContext } from 'node:tls';
import { AppError, type Clock, type Digest, isAppError, systemClock } from '@sealift/core';
import { DockerApi, type ImageName } from './docker-api.ts';
import type { DockerHost } from './hosts-file.ts';
import { type HostOutcome, type RolloutSummary, type SourceBytes, summarize } from './outcome.ts';
import type { PullProgress } from './pull-progress.ts';
import type { RolloutReporter } from './reporter.ts';
import type { StateFile } from './state-file.ts';
import { WavePlan } from './wave-plan.ts';

/** Hosts that pull at once, whatever the size of a wave: each has a connection, and a handshake that takes its time. */
const MAX_AT_ONCE = 500;
/** Hosts that are asked what a tag means: one alone could send all others to an image of its choice. */
const WITNESSES = 3;
/** Hosts that are tried until as many have answered. */
const MAX_ASKED = 12;

/** What to bring where, and how. */
export interface RolloutOptions {
  readonly image: {
    /** As the operator wrote it, for reports and the state file. */
    readonly text: string;
    readonly name: ImageName;
    readonly tag: string | undefined;
    readonly digest: Digest | undefined;
  };
  readonly hosts: readonly DockerHost[];
  /** The client's certificate and the CA that a host must show. */
  readonly secureContextOf: (host: DockerHost) => SecureContext;
  /** What the node of a host has given out so far; `undefined` where nobody can be asked. */
  readonly sourceBytesOf: (host: DockerHost) => Promise<SourceBytes | undefined>;
  readonly registryAuth: string | undefined;
  /** Takes secrets out of what hosts say. */
  readonly redact: (text: string) => string;
  /** Hosts to a wave. */
  readonly waveSize: number;
  /** Hosts that may fail before no more are started. */
  readonly maxFailed: number;
  /** Longest time for one host, in ms. */
  readonly timeoutMs: number;
  readonly state: StateFile | undefined;
  readonly reporter: RolloutReporter;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/**
 * Has many dockerds pull one image at the same time. All get the same digest: a tag is resolved first, once. Resolves with a summary
 * whatever becomes of the hosts. Throws `ROLLOUT_INCOMPLETE` if the tag cannot be resolved, and the reason of `signal` if it ends that.
 */
export async function rollOut(options: RolloutOptions): Promise<RolloutSummary> {
  const { image, hosts, state, reporter, signal, clock = systemClock } = options;
  const startedAt = clock.now();
  const digest = image.digest ?? state?.earlier?.digest ?? (await resolveTag(options));
  if (state !== undefined && state.earlier === undefined) await state.begin({ image: image.text, digest });
  const todo = new Map(
    hosts.filter(({ name }) => !state?.earlier?.doneHosts.has(name)).map((host) => [host.name, host]),
  );
  reporter.resolved({ image: image.text, digest, hosts: todo.size });

  const { waveSize, maxFailed } = options;
  const plan = new WavePlan({ hosts: [...todo.keys()], waveSize, maxFailed, maxAtOnce: MAX_AT_ONCE, clock });
  const outcomes = new Map<string, HostOutcome>();
  let running = 0;
  let shownWave = 0;
  let fault: unknown;
  let someoneEnded = Promise.withResolvers<void>();
  const start = async (host: DockerHost): Promise<void> => {
    running += 1;
    try {
      const outcome = await bringTo(host, digest, options);
      outcomes.set(host.name, outcome);
      const isGood = outcome.kind === 'pulled' || outcome.kind === 'present';
      plan.ended(host.name, { isGood });
      reporter.hostEnded(host.name, outcome);
      if (isGood) await state?.done(host.name);
    } catch (error) {
      // The state file cannot be written, or it is our bug: the others come to their end, and no more are started.
      fault ??= error;
    } finally {
      running -= 1;
      someoneEnded.resolve();
    }
  };
  for (;;) {
    const next = signal.aborted || fault !== undefined ? { wave: shownWave, hosts: [] } : plan.next();
    if (next.wave !== shownWave) reporter.waveStarted(next.wave, plan.waveHosts);
    shownWave = next.wave;
    for (const name of next.hosts) {
      const host = todo.get(name);
      if (host !== undefined) void start(host);
    }
    if (running === 0) break;
    await someoneEnded.promise;
    someoneEnded = Promise.withResolvers<void>();
  }
  if (fault !== undefined) throw fault;
  const summary = summarize({
    image: image.text,
    digest,
    hosts: hosts.length,
    doneBefore: hosts.length - todo.size,
    notStarted: plan.notStarted.length,
    seconds: (clock.now() - startedAt) / 1_000,
    outcomes,
    slowest: plan.slowest,
  });
  reporter.summary(summary);
  return summary;
}

/** Brings the image to one host. Never rejects for what the host does. */
async function bringTo(host: DockerHost, digest: Digest, options: RolloutOptions): Promise<HostOutcome> {
  const { image, registryAuth, reporter, signal, timeoutMs } = options;
  const deadline = AbortSignal.timeout(timeoutMs);
  const call = { image: image.name, registryAuth, signal: AbortSignal.any([signal, deadline]) };
  const docker = new DockerApi({ host, secureContext: options.secureContextOf(host), redact: options.redact });
  const holds = async (reference: string) => (await docker.digestsOf(image.name, reference, call)).includes(digest);
  try {
    if (image.tag !== undefined && (await holds(image.tag))) return { kind: 'present' };
    const isThere = await holds(digest);
    const before = isThere ? undefined : await options.sourceBytesOf(host);
    let bytes = 0;
    const onProgress = (progress: PullProgress): void => {
      bytes = progress.bytes;
      reporter.progress(host.name, progress);
    };
    if (!isThere) await docker.pull(call, { digest, onProgress });
    // A pull by digest leaves no tag behind.
    if (image.tag !== undefined) await docker.tag(image.name, { digest, tag: image.tag, signal: call.signal });
    if (isThere) return { kind: 'present' };
    return { kind: 'pulled', bytes, sources: growthOf(before, await options.sourceBytesOf(host)) };
  } catch (error) {
    if (signal.aborted) return { kind: 'interrupted' };
    if (deadline.aborted) return { kind: 'failed', reason: `it was not done after ${timeoutMs / 1_000} s` };
    return { kind: 'failed', reason: reasonOf(error) };
  } finally {
    docker.close();
  }
}

/** What a tag means now, by the word of several hosts, which must be the same. */
async function resolveTag(options: RolloutOptions): Promise<Digest> {
  const { image, hosts, registryAuth, signal } = options;
  const answers = new Map<string, Digest>();
  const refusals: { readonly host: string; readonly error: unknown }[] = [];
  const ask = async (host: DockerHost): Promise<void> => {
    const docker = new DockerApi({ host, secureContext: options.secureContextOf(host), redact: options.redact });
    try {
      answers.set(host.name, await docker.resolve({ image: image.name, registryAuth, signal }, image.tag ?? 'latest'));
    } catch (error) {
      signal.throwIfAborted();
      refusals.push({ host: host.name, error });
    } finally {
      docker.close();
    }
  };
  for (let from = 0; from < Math.min(hosts.length, MAX_ASKED) && answers.size < WITNESSES; from += WITNESSES) {
    await Promise.all(hosts.slice(from, from + WITNESSES).map(ask));
  }
  const digests = new Set(answers.values());
  const [digest] = digests;
  if (digest === undefined) {
    // A registry's no tells more than a host that is down.
    const [told = refusals[0]] = refusals.filter(({ error }) => isAppError(error, 'DOCKER_REFUSED'));
    const reason = `no host can say what the tag means; ${told?.host}: ${reasonOf(told?.error)}`;
    throw new AppError('ROLLOUT_INCOMPLETE', { reason }, { cause: told?.error });
  }
  if (digests.size === 1) return digest;
  const told = [...answers].map(([host, said]) => `${host} says ${said}`).join(', ');
  const advice = 'Find out why, or give the digest: IMAGE@sha256:….';
  throw new AppError('ROLLOUT_INCOMPLETE', { reason: `hosts do not agree what the tag means: ${told}`, advice });
}

/** What a dockerd, or the way to it, has to say. Throws `error` itself if it is our bug. */
function reasonOf(error: unknown): string {
  if (isAppError(error, 'DOCKER_UNAVAILABLE') || isAppError(error, 'DOCKER_REFUSED')) {
    return String(error.details['reason']);
  }
  throw error;
}

/** What a node has given out between two moments; `undefined` where that is not known. */
function growthOf(before: SourceBytes | undefined, after: SourceBytes | undefined): SourceBytes | undefined {
  if (before === undefined || after === undefined) return undefined;
  const growth = {
    registry: after.registry - before.registry,
    peers: after.peers - before.peers,
    cache: after.cache - before.cache,
  };
  // A node that was started anew has begun to count anew.
  return Object.values(growth).every((bytes) => bytes >= 0) ? growth : undefined;
}
