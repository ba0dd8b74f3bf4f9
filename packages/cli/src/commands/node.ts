import { rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { type Logger, systemClock } from '@sealift/core';
import { InterceptCa } from '@sealift/pki';
import { type BlobSource, ProxyServer, readUpstreamAnchors, TrustFiles } from '@sealift/proxy';
import { RegistryClient, type RegistryTokenConfig, type RegistryTokens, repositoryOfPath } from '@sealift/registry';
import type { BlobStore } from '@sealift/store';
import type { ConfigOf } from '../config.ts';
import { enrolmentTokenOf } from '../enrolment-token.ts';
import { createProcessLogger, surviveBugs, untilAborted } from '../logging.ts';
import { NodeAdmin } from '../node-admin.ts';
import type { NodeEngine } from '../node-engine.ts';
import type { NODE_OPTIONS } from '../options.ts';
import { loadRegistries } from '../registries.ts';
import { loadTokenConfigs, registryTokens } from '../registry-tokens.ts';
import { ServiceStack } from '../service-stack.ts';
import { startSharing } from '../sharing.ts';
import { readTrackerTrust } from '../tracker-trust.ts';

type Config = ConfigOf<typeof NODE_OPTIONS>;

/** How long `started` waits for the tracker, in ms; a node without it works as a plain proxy. */
const FIRST_ENROLMENT_MS = 5_000;

/** What the proxy asks for blobs on a node that cannot share: every request goes to the registry. */
const NO_BLOBS: BlobSource = { open: async () => undefined };

/** `sealift node`: the proxy for the runtime, and the peer. The proxy comes up whatever the tracker or the disk does. */
export async function runNode(config: Config, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const clock = systemClock;
  const log = createProcessLogger(config.logLevel, 'node');
  const { certsDirectory } = config;
  const name = config.name ?? nodeName(hostname());
  const trust = await readTrackerTrust(config);
  const readEnrolmentToken = enrolmentTokenOf(config);
  // Read at each enrolment; a file that cannot be read should be heard of now, not an hour later.
  await readEnrolmentToken?.();
  const registries = await loadRegistries(
    config.registry,
    config.registryCa,
    certsDirectory === undefined ? undefined : (registry) => readUpstreamAnchors({ certsDirectory, registry, log }),
  );
  const tokenConfigs = await loadTokenConfigs(config);
  const services = new ServiceStack();
  try {
    const tokens = tokensOf(config, { tokenConfigs, registries, clock, log, services });
    const sharing = await startSharing(
      { config, trust, readEnrolmentToken, name, tokens, clock, log, signal },
      services,
    );
    const interceptCa = await InterceptCa.create({ registries: config.registry, nodeName: name, clock });
    const bytes = { registry: 0, peers: 0, cache: 0 };
    const proxy = await services.start(
      new ProxyServer({
        listen: config.listen,
        allowNonLoopback: config.dangerouslyListenOnAnyAddress,
        registries,
        interceptCa,
        blobs: sharing?.blobs ?? NO_BLOBS,
        clock,
        log,
        onBlobServed: (served) => {
          bytes.registry += served.registry;
          bytes.peers += served.peers;
          bytes.cache += served.cache;
        },
        onAccepted: ({ registry, path, authorization }) => {
          const repository = repositoryOfPath(path);
          if (repository !== undefined) tokens?.accepted(authorization, { registry, repository, path });
        },
      }),
    );
    const status = (): object => {
      const identity = sharing?.identity.credentials?.identity;
      const peer = sharing?.engine.running;
      return {
        name,
        nodeId: identity?.id ?? null,
        cluster: identity?.clusterId ?? null,
        certificateEnds: identity === undefined ? null : new Date(identity.notAfter),
        proxy: `${config.listen.host}:${proxy.port}`,
        store: sharing === undefined ? null : describeStore(sharing.store),
        bytes,
        peer: peer === undefined ? null : { port: peer.port, ...peer.stats },
      };
    };
    await startAdmin(new NodeAdmin({ dataDirectory: config.data, status }), { services, log });
    // Last of all: from here on the runtime trusts us.
    if (certsDirectory !== undefined) {
      await services.start(new TrustFiles({ certsDirectory, registries: config.registry, interceptCa, log }));
    }
    if (config.interceptCaFile !== undefined) await writeInterceptCa(config.interceptCaFile, interceptCa, services);
    surviveBugs(log);
    // The proxy answers already. With a token the node is enrolled in a moment: `started` then means ready to share.
    if (sharing?.identity.enrolsByRegistry === false) await waitForEngine(sharing.engine, signal);
    const peer = sharing?.engine.running;
    log.info('started', {
      name,
      proxy: `${config.listen.host}:${proxy.port}`,
      peer: peer === undefined ? null : `${config.peerListen.host}:${peer.port}`,
      nodeId: sharing?.identity.credentials?.identity.id,
      registries: registries.map(({ registry }) => registry),
    });
    await untilAborted(signal);
    log.info('stopping');
  } finally {
    await services.stop();
  }
  log.info('stopped');
}

/** What judges the tokens of peers; it learns from what the registries say to this node, so only where it is wanted. */
function tokensOf(
  { tokenCheck }: Config,
  {
    tokenConfigs,
    registries,
    clock,
    log,
    services,
  }: Omit<Parameters<typeof registryTokens>[1], 'client'> & {
    tokenConfigs: readonly RegistryTokenConfig[];
    services: ServiceStack;
  },
): RegistryTokens | undefined {
  if (tokenCheck !== 'registry') return undefined;
  const client = new RegistryClient({ registries });
  services.defer(() => client.close());
  const tokens = registryTokens(tokenConfigs, { registries, client, clock, log });
  services.defer(() => tokens.stop());
  return tokens;
}

function describeStore(store: BlobStore): object {
  return { usedBytes: store.usedBytes, quotaBytes: store.quotaBytes, blobs: store.list().length };
}

/** `sealift status` is a convenience: without its socket the proxy works all the same. */
async function startAdmin(admin: NodeAdmin, { services, log }: { services: ServiceStack; log: Logger }): Promise<void> {
  try {
    await services.start(admin);
  } catch (error) {
    log.warn('admin_failed', { error });
  }
}

async function waitForEngine(engine: NodeEngine, signal: AbortSignal): Promise<void> {
  try {
    await engine.ready({ signal: AbortSignal.any([signal, AbortSignal.timeout(FIRST_ENROLMENT_MS)]) });
  } catch {
    // Not an error: the log says why enrolment fails, and it goes on in the background.
  }
}

async function writeInterceptCa(path: string, { certificatePem }: InterceptCa, services: ServiceStack): Promise<void> {
  services.defer(() => rm(path, { force: true }));
  await writeFile(path, certificatePem, { mode: 0o644 });
}

/** A host name as the tracker takes names: what it does not allow becomes a hyphen. */
function nodeName(host: string): string {
  const name = host
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 63);
  return name === '' ? 'node' : name;
}
