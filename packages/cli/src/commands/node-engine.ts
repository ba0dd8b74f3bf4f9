import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import { isAppError, type Logger, parseRegistryHost, systemClock } from '@sealift/core';
import { issueTimeOf } from '@sealift/pki';
import { RegistryClient, type RegistryTokens, repositoryOfPath } from '@sealift/registry';
import { keepCompiled } from '../compile-cache.ts';
import type { ConfigOf } from '../config.ts';
import { BlobService } from '../engine/blob-service.ts';
import { askCluster } from '../engine/cluster-questions.ts';
import { EngineChannel } from '../engine/engine-channel.ts';
import { type EngineMessage, FRONT_MESSAGES, type FrontMessage, parseMessage } from '../engine/engine-messages.ts';
import { CHANNEL_FD } from '../engine/engine-process.ts';
import { type KeptIdentity, parseKeptIdentity } from '../engine/kept-identity.ts';
import { ManifestService } from '../engine/manifest-service.ts';
import { enrolmentTokenOf } from '../enrolment-token.ts';
import { errnoOf, refuse } from '../failure.ts';
import { createProcessLogger, surviveBugs, untilAborted } from '../logging.ts';
import { defaultNodeName } from '../node-name.ts';
import type { NODE_OPTIONS } from '../options.ts';
import { loadNodeRegistries } from '../registries.ts';
import { loadTokenConfigs, registryTokens } from '../registry-tokens.ts';
import { ServiceStack } from '../service-stack.ts';
import { type Sharing, startSharing } from '../sharing.ts';
import { readTrackerTrust } from '../tracker-trust.ts';

type Config = ConfigOf<typeof NODE_OPTIONS>;
type KeptGrant = Extract<FrontMessage, { type: 'kept-grant' }>;

/** How long `ready` waits for the tracker, in ms; a node without it works as a plain proxy. */
const FIRST_ENROLMENT_MS = 5_000;
/** How often the front is told that the event loop turns, in ms. */
const ALIVE_MS = 1_000;
/** Longest end of an engine whose front is gone, in ms: the next one wants the store. */
const ORPHAN_END_MS = 3_000;

/**
 * `sealift node-engine`: the half of a node that talks to strangers and keeps the store, as a child of `sealift node`. It
 * ends when its front says so or is gone, and by no signal that can be caught: a service manager signals a whole group,
 * and the front still answers from here until its last response is out.
 */
export async function runNodeEngine(config: Config): Promise<void> {
  const clock = systemClock;
  const log = createProcessLogger(config.logLevel, 'engine');
  const end = new AbortController();
  let sharing: Sharing | undefined;
  let tokens: RegistryTokens | undefined;
  const begun = Promise.withResolvers<KeptIdentity | undefined>();
  const earlierGrants: KeptGrant[] = [];
  const send = (message: EngineMessage): void => void channel.send(message);
  const service = new BlobService({
    finder: { find: async (request, options) => await sharing?.blobs.find(request, options) },
    send,
    log,
  });
  const manifests = new ManifestService({
    finder: { fetch: async (request, options) => await sharing?.manifests.fetch(request, options) },
    send,
    log,
  });
  const channel = new EngineChannel<FrontMessage, EngineMessage>({
    stream: streamToFront(),
    parse: (text) => parseMessage(FRONT_MESSAGES, text),
    onMessage: (message) => {
      if (message.type === 'stop') end.abort();
      else if (message.type === 'kept-grant') earlierGrants.push(message);
      else if (message.type === 'begin') begun.resolve(parseKeptIdentity(message.identity));
      else if (message.type === 'ask') void answer(message, { sharing, config, channel });
      else if (message.type === 'accepted') noteAccepted(tokens, message);
      else {
        service.take(message);
        manifests.take(message);
      }
    },
    onClosed: () => {
      // Whatever still runs by then, the store must be free for the next engine.
      setTimeout(() => process.exit(1), ORPHAN_END_MS).unref();
      end.abort();
      begun.resolve(undefined);
    },
  });
  surviveBugs(log);
  const alive = setInterval(() => channel.send({ type: 'alive' }), ALIVE_MS);
  const services = new ServiceStack();
  try {
    channel.send({ type: 'alive' });
    tokens = await tokensOf(config, { log, services });
    sharing = await startSharing(
      {
        config,
        trust: await readTrackerTrust(config),
        readEnrolmentToken: enrolmentTokenOf(config),
        name: config.name ?? defaultNodeName(),
        tokens,
        earlier: await begun.promise,
        earlierGrants,
        onGrant: (grant) => channel.send({ type: 'grant', ...grant }),
        onIdentity: (identity) => channel.send({ type: 'identity', identity: { ...identity } }),
        clock,
        log,
        signal: end.signal,
        onDiskFault: (error) => channel.send({ type: 'trouble', ...troubleOf(error), isFinal: false }),
      },
      services,
    );
    if (sharing !== undefined) await sayReady(sharing, { channel, config, signal: end.signal });
    await untilAborted(end.signal);
  } catch (error) {
    channel.send({ type: 'trouble', ...troubleOf(error), isFinal: true });
    process.exitCode = 1;
  } finally {
    service.stop();
    manifests.stop();
    await services.stop().catch((error: unknown) => log.error('fatal', { error, kind: 'stop' }));
    clearInterval(alive);
    channel.end();
  }
}

/** Throws `CONFIG_INVALID` where nobody is at the other end. */
function streamToFront(): Socket {
  const isSocket = ((): boolean => {
    try {
      return fstatSync(CHANNEL_FD).isSocket();
    } catch {
      // Not open at all.
      return false;
    }
  })();
  if (!isSocket) refuse('node-engine', 'it is started by `sealift node` only');
  return new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
}

async function sayReady(
  { identity, engine }: Sharing,
  {
    channel,
    config,
    signal,
  }: { channel: EngineChannel<FrontMessage, EngineMessage>; config: Config; signal: AbortSignal },
): Promise<void> {
  // With a token the node is enrolled in a moment: ready then means ready to share.
  if (!identity.enrolsByRegistry) {
    await engine.ready({ signal: AbortSignal.any([signal, AbortSignal.timeout(FIRST_ENROLMENT_MS)]) }).catch(() => {
      // Not an error: the log says why enrolment fails, and it goes on in the background.
    });
  }
  const port = engine.running?.port;
  channel.send({
    type: 'ready',
    peer: port === undefined ? undefined : `${config.peerListen.host}:${port}`,
    nodeId: identity.credentials?.identity.id,
  });
  keepCompiled();
}

/** What judges the tokens of peers; it learns from what the registries say to this node, so only where it is wanted. */
async function tokensOf(
  config: Config,
  { log, services }: { log: Logger; services: ServiceStack },
): Promise<RegistryTokens | undefined> {
  if (config.tokenCheck !== 'registry') return undefined;
  const registries = await loadNodeRegistries(config, { log });
  const tokenConfigs = await loadTokenConfigs(config);
  const client = new RegistryClient({ registries });
  services.defer(() => client.close());
  const tokens = registryTokens(tokenConfigs, { registries, client, clock: systemClock, log });
  services.defer(() => tokens.stop());
  return tokens;
}

function noteAccepted(
  tokens: RegistryTokens | undefined,
  { registry, path, authorization }: Extract<FrontMessage, { type: 'accepted' }>,
): void {
  const repository = repositoryOfPath(path);
  const host = parseRegistryHost(registry);
  if (repository !== undefined) tokens?.accepted(authorization, { registry: host, repository, path });
}

async function answer(
  message: Extract<FrontMessage, { type: 'ask' }>,
  {
    sharing,
    config,
    channel,
  }: { sharing: Sharing | undefined; config: Config; channel: EngineChannel<FrontMessage, EngineMessage> },
): Promise<void> {
  const status = message.about === 'status' ? describe(sharing) : await askCluster(message, { sharing, config });
  channel.send({ type: 'status', id: message.id, status });
}

function describe(sharing: Sharing | undefined): Record<string, unknown> {
  if (sharing === undefined) return {};
  const identity = sharing.identity.credentials?.identity;
  const peer = sharing.engine.running;
  const { usedBytes, quotaBytes } = sharing.store;
  return {
    nodeId: identity?.id ?? null,
    cluster: identity?.clusterId ?? null,
    certificateBegan: identity === undefined ? null : new Date(issueTimeOf(identity)),
    certificateEnds: identity === undefined ? null : new Date(identity.notAfter),
    enrolmentFailure: sharing.identity.failure ?? null,
    store: { usedBytes, quotaBytes, blobs: sharing.store.list().length },
    peer: peer === undefined ? null : { port: peer.port, ...peer.stats },
  };
}

function troubleOf(error: unknown): { code: string; details: Record<string, unknown> } {
  if (isAppError(error)) return { code: error.code, details: { ...error.details } };
  const reason = error instanceof Error ? error.message : String(error);
  return { code: 'ENGINE_FAILED', details: { reason, errno: errnoOf(error) } };
}
