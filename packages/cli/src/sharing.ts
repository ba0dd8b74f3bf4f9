import { isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { AnnounceClient } from '@sealift/bittorrent';
import { type Clock, isAppError, type Logger, parseSwarmId } from '@sealift/core';
import {
  ClusterManifests,
  type EnrolmentToken,
  GrantKeeper,
  NodeIdentity,
  PeerEngine,
  RegistryTokenCheck,
  SwarmBlobSource,
  TrackerPause,
} from '@sealift/peer';
import type { RegistryTokens } from '@sealift/registry';
import { BlobStore } from '@sealift/store';
import type { ConfigOf } from './config.ts';
import { isDiskFault, prepareDataDirectory, refuseDataDirectory } from './data-directory.ts';
import { type KeptIdentity, keptIdentityOf, takeUp } from './engine/kept-identity.ts';
import { NodeEngine } from './node-engine.ts';
import { isUnspecified } from './option-values.ts';
import type { NODE_OPTIONS } from './options.ts';
import type { ServiceStack } from './service-stack.ts';
import { storeDirectory } from './store-directory.ts';
import type { TrackerTrust } from './tracker-trust.ts';

/** Pause before a disk that is at fault is tried again, in ms; doubles up to {@link MAX_DISK_PAUSE_MS}. */
const MIN_DISK_PAUSE_MS = 1_000;
const MAX_DISK_PAUSE_MS = 30_000;
/** How long, in ms, the store may be in use by an engine that is about to end because its front is gone. */
const PREDECESSOR_MS = 6_000;
const LOCK_PAUSE_MS = 100;

/** What a node shares with. */
export interface SharingOptions {
  readonly config: ConfigOf<typeof NODE_OPTIONS>;
  readonly trust: TrackerTrust;
  readonly readEnrolmentToken: (() => Promise<EnrolmentToken>) | undefined;
  readonly name: string;
  /** Set where peers show registry tokens to each other. */
  readonly tokens: RegistryTokens | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** What an engine before this one was enrolled with. */
  readonly earlier: KeptIdentity | undefined;
  /** What it was granted, with that certificate; empty by the time that the engine runs. */
  readonly earlierGrants: { readonly swarmId: string; readonly grant: string; readonly expiresAt: number }[];
  /** Is told of each new grant, and of each that is gone. */
  readonly onGrant: (grant: { swarmId: string; grant: string | undefined; expiresAt: number }) => void;
  /** Is told of each enrolment and renewal. */
  readonly onIdentity: (identity: KeptIdentity) => void;
  /** Aborts when the node is to end. */
  readonly signal: AbortSignal;
  /** Is told what is wrong with the disk, each time that it is tried in vain. */
  readonly onDiskFault: (error: unknown) => void;
}

/** The half of a node that shares: its store, its identity and its peer engine. The proxy sees a source of blobs. */
export interface Sharing {
  readonly blobs: SwarmBlobSource;
  readonly manifests: ClusterManifests;
  readonly store: BlobStore;
  readonly identity: NodeIdentity;
  readonly engine: NodeEngine;
}

/**
 * Opens the store and starts what shares it. Where the disk is at fault it is tried again until it is mended; `undefined` if
 * the node is to end before. Rejects if another process has the directory, or this user may not use it.
 */
export async function startSharing(options: SharingOptions, services: ServiceStack): Promise<Sharing | undefined> {
  const { config, clock, log, signal } = options;
  const store = new BlobStore({ directory: storeDirectory(config), quotaBytes: config.quota, clock, log });
  services.defer(() => store.stop());
  const startedAt = performance.now();
  for (let pauseMs = MIN_DISK_PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, MAX_DISK_PAUSE_MS)) {
    try {
      await prepareDataDirectory(config.data);
      await store.start();
      return await startEngine(options, store, services);
    } catch (error) {
      if (isAppError(error, 'STORE_LOCKED') && performance.now() - startedAt < PREDECESSOR_MS) pauseMs = LOCK_PAUSE_MS;
      else if (isDiskFault(error)) options.onDiskFault(error);
      else if (isAppError(error, 'STORE_FAULT')) refuseDataDirectory(store.directory, error);
      else throw error;
    }
    await delay(pauseMs, undefined, { signal }).catch(() => {});
  }
  return undefined;
}

async function startEngine(options: SharingOptions, store: BlobStore, services: ServiceStack): Promise<Sharing> {
  const { config, readEnrolmentToken, name, tokens, earlier, onIdentity, clock, log, signal } = options;
  const { origin, anchor } = options.trust;
  const identity = new NodeIdentity({
    origin,
    trust: anchor,
    ...(readEnrolmentToken === undefined ? {} : { readEnrolmentToken }),
    name,
    clock,
    log,
  });
  const grants = await services.start(
    new GrantKeeper({
      clock: identity.clusterClock,
      refresh: async (held, options) => {
        const answer = await identity.client.refresh({ grants: held.map(({ grant }) => grant) }, options);
        return answer.grants.map(({ grant, expiresAt }) =>
          grant === undefined || expiresAt === undefined ? undefined : { grant, expiresAt },
        );
      },
    }),
  );
  const tokenCheck = tokens === undefined ? undefined : new RegistryTokenCheck({ judge: tokens, clock });
  const announces = new AnnounceClient({ origin, dispatcher: () => identity.dispatcher() });
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
        tokenCheck,
        uploadBytesPerSecond: config.uploadLimit,
        downloadBytesPerSecond: config.downloadLimit,
        zone: config.zone,
        ...advertiseOf(config),
        clock: identity.clusterClock,
        log,
      }),
    log,
  });
  services.defer(() => engine.stop());
  const stopListening = identity.onChange(() => {
    void engine.start();
    grants.refreshAll();
    const kept = keptIdentityOf(identity);
    if (kept !== undefined) onIdentity(kept);
  });
  services.defer(async () => stopListening());
  if (earlier !== undefined) takeUp(identity, earlier);
  // They are bound to its certificate, and worth nothing with another one.
  for (const { swarmId, ...held } of options.earlierGrants.splice(0))
    if (identity.credentials !== undefined) grants.put(parseSwarmId(swarmId), held);
  const stopTelling = grants.onChange((swarmId) => {
    const { grant, expiresAt = 0 } = grants.heldFor(swarmId) ?? {};
    options.onGrant({ swarmId, grant, expiresAt });
  });
  services.defer(async () => stopTelling());
  await services.start(identity);
  const ready = (options: { signal: AbortSignal }): Promise<PeerEngine> => engine.ready(options);
  const pause = new TrackerPause({ clock });
  const blobs = new SwarmBlobSource({ identity, engine: ready, store, grants, clock, log, name, tokenCheck, pause });
  const manifests = new ClusterManifests({ identity, pause, clock, log });
  return { blobs, manifests, store, identity, engine };
}

/** What the node announces: what it was told, else the one address it listens on, else what the tracker sees of it. */
function advertiseOf({ peerAddress, peerListen }: SharingOptions['config']): {
  advertise?: { host: string; port?: number };
} {
  if (peerAddress !== undefined) return { advertise: peerAddress };
  return isIP(peerListen.host) === 0 || isUnspecified(peerListen) ? {} : { advertise: { host: peerListen.host } };
}
