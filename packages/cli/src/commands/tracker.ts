import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createContentSigner } from '@sealift/bittorrent';
import { AppError, type BlobRef, type SwarmId, swarmIdOf, systemClock } from '@sealift/core';
import { GrantKeeper, type HeldGrant, PeerEngine, RegistrySeeder, RegistryTokenCheck } from '@sealift/peer';
import { RegistryClient } from '@sealift/registry';
import { BlobStore } from '@sealift/store';
import {
  AuditFile,
  Authority,
  MAX_CERTIFICATE_TTL_MS,
  MIN_CERTIFICATE_TTL_MS,
  openTrackerState,
  type Seeder,
  Tracker,
} from '@sealift/tracker';
import { keepCompiled } from '../compile-cache.ts';
import type { ConfigOf } from '../config.ts';
import { prepareDataDirectory } from '../data-directory.ts';
import { refuse } from '../failure.ts';
import { loadServiceAccounts } from '../kubernetes.ts';
import { createProcessLogger, surviveBugs, untilAborted } from '../logging.ts';
import { isUnspecified } from '../option-values.ts';
import type { TRACKER_OPTIONS } from '../options.ts';
import { loadTrackerRegistries } from '../registries.ts';
import { loadTokenConfigs, registryTokens } from '../registry-tokens.ts';
import { SeederIdentity } from '../seeder-identity.ts';
import { ServiceStack } from '../service-stack.ts';
import { readPassphrase } from '../tracker-data.ts';

/** Blobs whose grant the seeder renews for itself, as many as its grant keeper holds. The least recently asked for goes first. */
const MAX_SEEDED_BLOBS = 10_000;

/** `sealift tracker`: the authority of a cluster, with its seeder in the same process. */
export async function runTracker(
  config: ConfigOf<typeof TRACKER_OPTIONS>,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const clock = systemClock;
  const log = createProcessLogger(config.logLevel, 'tracker');
  checkCertificateTtl(config);
  const registries = await loadTrackerRegistries(config);
  const tokenConfigs = await loadTokenConfigs(config);
  const seederHost = seederAddress(config);
  const services = new ServiceStack();
  try {
    await prepareDataDirectory(config.data);
    const state = await openTrackerState({
      dataDirectory: config.data,
      clusterId: config.cluster,
      passphrase: await readPassphrase(config),
      clock,
    });
    services.defer(async () => state.close());
    const audit = await services.start(
      new AuditFile({ directory: config.data, quotaBytes: config.auditQuota, clock, log }),
    );
    const authority = new Authority({ state, certificateTtlMs: config.certificateTtl, clock, audit });
    const registry = new RegistryClient({ registries });
    services.defer(() => registry.close());
    const tokens = registryTokens(tokenConfigs, { registries, client: registry, clock, log });
    services.defer(() => tokens.stop());
    // The seeder learns keys by what the registry tells the authorizer beside it.
    const tokenCheck = config.tokenCheck === 'registry' ? new RegistryTokenCheck({ judge: tokens, clock }) : undefined;

    const identity = await services.start(new SeederIdentity({ authority, clock, log }));
    const stopFollowing = state.cas.onChange(() => identity.replace());
    services.defer(async () => stopFollowing());
    const store = await services.start(
      new BlobStore({ directory: join(config.data, 'seeder'), quotaBytes: config.quota, clock, log }),
    );
    const blobs = new Map<SwarmId, BlobRef>();
    const mint = async (blob: BlobRef): Promise<HeldGrant> => {
      const { grant, claims } = await authority.mintSeederGrant(blob, identity.current().identity);
      return { grant, expiresAt: claims.expiresAt };
    };
    const grants = await services.start(
      new GrantKeeper({
        clock,
        refresh: async (held) =>
          await Promise.all(
            held.map(async ({ swarmId }) => {
              const blob = blobs.get(swarmId);
              // A swarm that the seeder has left needs no grant any more.
              if (blob !== undefined && engine.isJoined(swarmId)) return await mint(blob);
              blobs.delete(swarmId);
              return undefined;
            }),
          ),
      }),
    );
    // The others hear of denials and revocations with their next announce; the seeder is here.
    const tellSeeder = (): void => engine.takeDenyList(state.pushed.current);
    const stopDenying = state.denyList.onChange(tellSeeder);
    const stopRevoking = state.revocations.onAdded(tellSeeder);
    services.defer(async () => {
      stopListening();
      stopDenying();
      stopRevoking();
    });
    const stopListening = identity.onChange(() => grants.refreshAll());
    const engine: PeerEngine = await services.start(
      new PeerEngine({
        identity,
        // The seeder's grants are this tracker's own word, for whoever may have the blob: those revoked are minted anew.
        grants: {
          grantFor: (swarmId) => grants.grantFor(swarmId),
          onChange: (listener) => grants.onChange(listener),
          dropRevoked: () => grants.refreshAll(),
        },
        store,
        announce: async ({ swarmId, denyVersion }) => tracker.announceSeeder({ swarmId, denyVersion }),
        report: (swarmId, reportedId) =>
          audit.record('peer_reported', { nodeId: state.seederId, reportedId, swarmId, kind: 'corrupt-piece' }),
        listen: config.seederListen,
        tokenCheck,
        uploadBytesPerSecond: config.uploadLimit,
        zone: config.zone,
        clock,
        log,
      }),
    );
    const seeder = new RegistrySeeder({
      nodeId: state.seederId,
      endpoint: { host: seederHost, port: config.seederAddress?.port ?? engine.port },
      zone: config.zone,
      engine,
      store,
      registry,
      signer: createContentSigner(state.contentKey.privateKey),
      ensureGrant: async (blob) => {
        const swarmId = swarmIdOf(state.clusterId, blob.registry, blob.digest);
        blobs.delete(swarmId);
        blobs.set(swarmId, blob);
        for (const oldest of blobs.keys()) {
          if (blobs.size <= MAX_SEEDED_BLOBS) break;
          blobs.delete(oldest);
        }
        if (grants.grantFor(swarmId) === undefined) grants.put(swarmId, await mint(blob));
      },
      clock,
      log,
    });
    services.defer(() => seeder.stop());
    const serviceAccounts = await loadServiceAccounts(config, { clock, log, services });
    const tracker: Tracker = new Tracker({
      config: {
        clusterId: config.cluster,
        listen: config.listen,
        names: namesOf(config),
        registryToken: config.enrolWithRegistryToken,
        publicRepositories: config.publicRepository,
        registryCertsSuffice: config.registryCertsSuffice,
      },
      state,
      authority,
      registry,
      tokens,
      seeder: tokenCheck === undefined ? seeder : noting(seeder, tokenCheck),
      clock,
      log,
      audit,
      serviceAccounts,
    });
    await services.start(tracker);
    const address = formatAddress(namesOf(config)[0] ?? config.listen.host, tracker.port);
    state.setOrigin(`https://${address}`);
    log.info('started', {
      address,
      fingerprint: state.cas.newest.fingerprint,
      cluster: config.cluster,
      seeder: formatAddress(seeder.endpoint.host, seeder.endpoint.port),
      registries: registries.map((entry) => entry.registry),
    });
    keepCompiled();
    surviveBugs(log);
    await untilAborted(signal);
    log.info('stopping');
  } finally {
    await services.stop();
  }
  log.info('stopped');
}

/** A seeder that also tells the token check under which repositories it may serve a blob: those of the rights just proven. */
function noting(seeder: RegistrySeeder, tokenCheck: RegistryTokenCheck): Seeder {
  const { nodeId, endpoint, zone } = seeder;
  return {
    nodeId,
    endpoint,
    zone,
    isSeeding: (swarmId) => seeder.isSeeding(swarmId),
    openAhead: (request) => seeder.openAhead(request),
    offer: (request, options) => {
      tokenCheck.joined(request.swarmId, request.blob, undefined);
      return seeder.offer(request, options);
    },
  };
}

function checkCertificateTtl({ certificateTtl }: ConfigOf<typeof TRACKER_OPTIONS>): void {
  if (certificateTtl >= MIN_CERTIFICATE_TTL_MS && certificateTtl <= MAX_CERTIFICATE_TTL_MS) return;
  const [least, most] = [MIN_CERTIFICATE_TTL_MS / 1_000, MAX_CERTIFICATE_TTL_MS / 3_600_000];
  refuse('--certificate-ttl', `write a time from ${least}s to ${most}h`);
}

/** The names in the tracker's own certificate: those given, else the address it listens on, else the host's name. */
function namesOf({ name, listen }: ConfigOf<typeof TRACKER_OPTIONS>): readonly string[] {
  if (name.length > 0) return name;
  return isUnspecified(listen) ? [hostname().toLowerCase()] : [listen.host];
}

/** The address of the seeder that peers get to see. It must be an IP address, as BEP 3 hands them out. */
function seederAddress({ seederAddress: given, seederListen }: ConfigOf<typeof TRACKER_OPTIONS>): string {
  const { host } = given ?? seederListen;
  if (isIP(host) === 0 || isUnspecified({ host })) {
    throw new AppError('CONFIG_INVALID', {
      reason: 'peers need the IP address of the seeder',
      advice: 'Give --seeder-address IP:PORT, or let --seeder-listen name one address.',
    });
  }
  return host;
}

function formatAddress(host: string, port: number): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}
