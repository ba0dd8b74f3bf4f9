import { type Logger, systemClock } from '@sealift/core';
import { InterceptCa } from '@sealift/pki';
import { type AcceptedRequest, isIntercepted, ProxyServer } from '@sealift/proxy';
import { keepCompiled } from '../compile-cache.ts';
import type { ConfigOf } from '../config.ts';
import { lockDataDirectory } from '../data-directory.ts';
import { launchEngine } from '../engine/engine-process.ts';
import { EngineSupervisor, type FirstStart } from '../engine/engine-supervisor.ts';
import { RemoteBlobSource } from '../engine/remote-blob-source.ts';
import { RemoteManifestSource } from '../engine/remote-manifest-source.ts';
import { enrolmentTokenOf } from '../enrolment-token.ts';
import { createProcessLogger, surviveBugs, untilAborted, writeLogLine } from '../logging.ts';
import { NodeAdmin, type NodeAnswers } from '../node-admin.ts';
import { defaultNodeName } from '../node-name.ts';
import { settingsOf } from '../node-settings.ts';
import type { NODE_OPTIONS } from '../options.ts';
import { takePassedSocket } from '../passed-socket.ts';
import { loadNodeRegistries } from '../registries.ts';
import { loadTokenConfigs } from '../registry-tokens.ts';
import { RuntimeTrust } from '../runtime-trust.ts';
import { ServiceStack } from '../service-stack.ts';
import { formatEndpoint } from '../setup/runtime-plan.ts';
import { storeDirectory } from '../store-directory.ts';
import { readTrackerTrust } from '../tracker-trust.ts';

type Config = ConfigOf<typeof NODE_OPTIONS>;

/** How long `started` waits for the engine, in ms. */
const FIRST_START_MS = 30_000;
/** Longest wait for what the engine says of itself, in ms; whoever asks for the status waits longer. */
const STATUS_TIMEOUT_MS = 2_000;
/** Longest wait for what it has to ask the tracker, in ms: its own limit for that is shorter. */
const QUESTION_TIMEOUT_MS = 12_000;

/**
 * `sealift node`: the front of a node. It owns all that the runtime depends on, the proxy above all, and comes up whatever the
 * tracker, the disk or the engine do. What talks to strangers is a process of its own, `sealift node-engine`.
 */
export async function runNode(config: Config, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const clock = systemClock;
  const log = createProcessLogger(config.logLevel, 'node');
  const { certsDirectory } = config;
  const name = config.name ?? defaultNodeName();
  const registries = await loadNodeRegistries(config, { log });
  await checkEngineConfig(config);
  const services = new ServiceStack();
  try {
    const lock = await lockDataDirectory(config.data);
    services.defer(async () => await lock?.release());
    const blobs = new RemoteBlobSource({ store: storeDirectory(config), log });
    const manifests = new RemoteManifestSource();
    const engine = await services.start(
      new EngineSupervisor({
        // The options of this very process, from the command line and the environment.
        launch: (onMessage) => launchEngine({ args: process.argv.slice(3), onMessage, writeLine: writeLogLine }),
        users: [blobs, manifests],
        clock,
        log,
      }),
    );
    const intercepted = config.registry.filter(isIntercepted);
    const interceptCa =
      intercepted.length === 0
        ? undefined
        : await InterceptCa.create({ registries: intercepted, nodeName: name, clock });
    const trust =
      interceptCa === undefined
        ? undefined
        : new RuntimeTrust({ certsDirectory, file: config.interceptCaFile, registries: intercepted, interceptCa, log });
    const bytes = { registry: 0, peers: 0, cache: 0 };
    const proxy = await services.start(
      new ProxyServer({
        listen: config.listen,
        fd: takePassedSocket(process.env, { pid: process.pid }),
        // Until our CA lies where the runtime looks, it would refuse what is signed by it.
        isTrusted: () => certsDirectory === undefined || trust?.isWritten === true,
        allowNonLoopback: config.dangerouslyListenOnAnyAddress,
        registries,
        reread: async (registry) =>
          (await loadNodeRegistries(config, { log })).find((one) => one.registry === registry),
        interceptCa,
        blobs,
        manifests,
        clock,
        log,
        limits: { stopTimeoutMs: config.stopTimeout },
        onBlobServed: (served) => {
          bytes.registry += served.registry;
          bytes.peers += served.peers;
          bytes.cache += served.cache;
        },
        // Only this check learns from credentials, so only it is shown them.
        ...(config.tokenCheck === 'registry'
          ? { onAccepted: (accepted: AcceptedRequest) => engine.tell({ type: 'accepted', ...accepted }) }
          : {}),
      }),
    );
    const address = formatEndpoint({ host: config.listen.host, port: proxy.port });
    const status = async (): Promise<object> => {
      const said = await engine.ask({ timeoutMs: STATUS_TIMEOUT_MS });
      const { nodeId = null, cluster = null, certificateBegan = null, certificateEnds = null } = said ?? {};
      const { enrolmentFailure = null, store = null, peer = null } = said ?? {};
      const identity = { nodeId, cluster, certificateBegan, certificateEnds, enrolmentFailure };
      return { name, ...identity, proxy: address, store, bytes, peer, engine: engine.state };
    };
    await startAdmin(new NodeAdmin({ dataDirectory: config.data, status, answers: answersOf(config, engine) }), {
      services,
      log,
    });
    // Last of all: from here on the runtime trusts us.
    if (trust !== undefined) await services.start(trust);
    surviveBugs(log);
    // The proxy answers already.
    const first = await firstStart(engine, signal);
    const ready = first?.kind === 'ready' ? first : undefined;
    log.info('started', {
      name,
      proxy: address,
      peer: ready?.peer ?? null,
      nodeId: ready?.nodeId,
      registries: registries.map(({ registry }) => registry),
    });
    keepCompiled();
    await untilAborted(signal);
    log.info('stopping');
  } finally {
    await services.stop();
  }
  log.info('stopped');
}

/** What the engine will read: a mistake should be heard of now and here. */
async function checkEngineConfig(config: Config): Promise<void> {
  await readTrackerTrust(config);
  await loadTokenConfigs(config);
  await enrolmentTokenOf(config)?.();
}

/** `undefined` if it takes too long, or the node is to end before. */
async function firstStart(engine: EngineSupervisor, signal: AbortSignal): Promise<FirstStart | undefined> {
  const enough = AbortSignal.any([signal, AbortSignal.timeout(FIRST_START_MS)]);
  return await Promise.race([engine.first, untilAborted(enough).then(() => undefined)]);
}

/** What only `sealift doctor` asks. */
function answersOf(config: Config, engine: EngineSupervisor): NodeAnswers {
  const askCluster = async (about: string, body: Record<string, unknown>): Promise<object> =>
    (await engine.ask({ about, body, timeoutMs: QUESTION_TIMEOUT_MS })) ?? { error: 'the engine does not answer' };
  return {
    settings: async () => settingsOf(config),
    reach: async (question) => await askCluster('reach', question),
    right: async (question) => await askCluster('right', question),
  };
}

/** `sealift status` is a convenience: without its socket the proxy works all the same. */
async function startAdmin(admin: NodeAdmin, { services, log }: { services: ServiceStack; log: Logger }): Promise<void> {
  try {
    await services.start(admin);
  } catch (error) {
    log.warn('admin_failed', { error });
  }
}
