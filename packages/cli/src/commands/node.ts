import { readFile, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { AnnounceClient } from '@sealift/bittorrent';
import { AppError, systemClock } from '@sealift/core';
import { GrantKeeper, NodeIdentity, PeerEngine, SwarmBlobSource } from '@sealift/peer';
import { InterceptCa, parseTrackerAddress, readSecretFile } from '@sealift/pki';
import { ProxyServer, readUpstreamAnchors, TrustFiles } from '@sealift/proxy';
import { BlobStore } from '@sealift/store';
import type { ConfigOf } from '../config.ts';
import { createProcessLogger, surviveBugs, untilAborted } from '../logging.ts';
import { NodeAdmin } from '../node-admin.ts';
import { NodeEngine } from '../node-engine.ts';
import { isUnspecified } from '../option-values.ts';
import type { NODE_OPTIONS } from '../options.ts';
import { loadRegistries } from '../registries.ts';
import { ServiceStack } from '../service-stack.ts';

type Config = ConfigOf<typeof NODE_OPTIONS>;

/** How long `started` waits for the tracker, in ms; a node without it works as a plain proxy. */
const FIRST_ENROLMENT_MS = 5_000;

/** `sealift node`: the proxy for the runtime, and the peer. The proxy comes up whatever the tracker does. */
export async function runNode(config: Config, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const clock = systemClock;
  const log = createProcessLogger(config.logLevel, 'node');
  const { certsDirectory } = config;
  const name = config.name ?? nodeName(hostname());
  const trackerAddress = parseTrackerAddress(config.tracker);
  const registries = await loadRegistries(
    config.registry,
    config.registryCa,
    certsDirectory === undefined ? undefined : (registry) => readUpstreamAnchors({ certsDirectory, registry, log }),
  );
  const services = new ServiceStack();
  try {
    const store = await services.start(
      new BlobStore({ directory: join(config.data, 'blobs'), quotaBytes: config.quota, clock, log }),
    );
    const identity = new NodeIdentity({
      origin: trackerAddress.origin,
      trust: await trustOf(config, trackerAddress.fingerprint),
      ...readerOf(config.joinTokenFile),
      name,
      clock,
      log,
    });
    const grants = await services.start(
      new GrantKeeper({
        clock,
        refresh: async (held, options) => {
          const answer = await identity.client.refresh({ grants: held.map(({ grant }) => grant) }, options);
          return answer.grants.map(({ grant, expiresAt }) =>
            grant === undefined || expiresAt === undefined ? undefined : { grant, expiresAt },
          );
        },
      }),
    );
    const announces = new AnnounceClient({ origin: trackerAddress.origin, dispatcher: () => identity.dispatcher() });
    const engine = new NodeEngine({
      build: () =>
        new PeerEngine({
          identity: identity.source,
          grants,
          store,
          announce: (request, options) => announces.announce(request, options),
          report: (swarmId, nodeId) => {
            const report = identity.client.report({ swarmId, nodeId, kind: 'corrupt-piece' }, { signal });
            report.catch((error: unknown) => log.warn('report_failed', { nodeId, error }));
          },
          listen: config.peerListen,
          uploadBytesPerSecond: config.uploadLimit,
          downloadBytesPerSecond: config.downloadLimit,
          ...advertiseOf(config),
          clock,
          log,
        }),
      log,
    });
    services.defer(() => engine.stop());
    const stopListening = identity.onChange(() => {
      void engine.start();
      grants.refreshAll();
    });
    services.defer(async () => stopListening());

    const interceptCa = await InterceptCa.create({ registries: config.registry, nodeName: name, clock });
    const bytes = { registry: 0, peers: 0, cache: 0 };
    const proxy = new ProxyServer({
      listen: config.listen,
      allowNonLoopback: config.dangerouslyListenOnAnyAddress,
      registries,
      interceptCa,
      blobs: new SwarmBlobSource({
        identity,
        engine: (options) => engine.ready(options),
        store,
        grants,
        clock,
        log,
        name,
      }),
      clock,
      log,
      onBlobServed: (served) => {
        bytes.registry += served.registry;
        bytes.peers += served.peers;
        bytes.cache += served.cache;
      },
    });
    await services.start(identity);
    await services.start(proxy);
    await services.start(
      new NodeAdmin({
        dataDirectory: config.data,
        status: () => ({
          name,
          nodeId: identity.credentials?.identity.id ?? null,
          cluster: identity.credentials?.identity.clusterId ?? null,
          certificateEnds: identity.credentials === undefined ? null : new Date(identity.credentials.identity.notAfter),
          proxy: `${config.listen.host}:${proxy.port}`,
          store: { usedBytes: store.usedBytes, quotaBytes: store.quotaBytes, blobs: store.list().length },
          bytes,
          peer: engine.running === undefined ? null : { port: engine.running.port, ...engine.running.stats },
        }),
      }),
    );
    // Last of all: from here on the runtime trusts us.
    if (certsDirectory !== undefined) {
      await services.start(
        new TrustFiles({
          certsDirectory,
          registries: config.registry,
          interceptCa,
          log,
        }),
      );
    }
    if (config.interceptCaFile !== undefined) await writeInterceptCa(config.interceptCaFile, interceptCa, services);
    surviveBugs(log);
    // The proxy answers already. With a join token the node is enrolled in a moment: `started` then means ready to share.
    if (!identity.enrolsByRegistry) await waitForEngine(engine, signal);
    log.info('started', {
      name,
      proxy: `${config.listen.host}:${proxy.port}`,
      peer: engine.running === undefined ? null : `${config.peerListen.host}:${engine.running.port}`,
      nodeId: identity.credentials?.identity.id,
      registries: registries.map(({ registry }) => registry),
    });
    await untilAborted(signal);
    log.info('stopping');
  } finally {
    await services.stop();
  }
  log.info('stopped');
}

async function waitForEngine(engine: NodeEngine, signal: AbortSignal): Promise<void> {
  try {
    await engine.ready({ signal: AbortSignal.any([signal, AbortSignal.timeout(FIRST_ENROLMENT_MS)]) });
  } catch {
    // Not an error: the log says why enrolment fails, and it goes on in the background.
  }
}

/** How the node knows its tracker: by the CA's fingerprint in the address, or by a CA file. */
async function trustOf(
  { trackerCa }: Config,
  fingerprint: string | undefined,
): Promise<{ fingerprint: string } | { trustAnchors: string }> {
  if (trackerCa !== undefined) return { trustAnchors: await readFile(trackerCa, 'utf8') };
  if (fingerprint !== undefined) return { fingerprint };
  throw new AppError('CONFIG_INVALID', {
    reason: '--tracker has no fingerprint and there is no --tracker-ca',
    advice: 'Use the address that `sealift token create` prints: https://host:7443#sha256:<hex>.',
  });
}

function readerOf(joinTokenFile: string | undefined): { readJoinToken?: () => Promise<string> } {
  return joinTokenFile === undefined ? {} : { readJoinToken: () => readSecretFile(joinTokenFile) };
}

async function writeInterceptCa(path: string, { certificatePem }: InterceptCa, services: ServiceStack): Promise<void> {
  services.defer(() => rm(path, { force: true }));
  await writeFile(path, certificatePem, { mode: 0o644 });
}

/** What the node announces: what it was told, else the one address it listens on, else what the tracker sees of it. */
function advertiseOf({ peerAddress, peerListen }: Config): { advertise?: { host: string; port?: number } } {
  if (peerAddress !== undefined) return { advertise: peerAddress };
  return isIP(peerListen.host) === 0 || isUnspecified(peerListen) ? {} : { advertise: { host: peerListen.host } };
}

/** A host name as the tracker takes names: what it does not allow becomes a hyphen. */
function nodeName(host: string): string {
  const name = host
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63);
  return name === '' ? 'node' : name;
}
