import { isIP } from 'node:net';
import { join } from 'node:path';
import { AnnounceClient } from '@sealift/bittorrent';
import { type Clock, isAppError, type Logger } from '@sealift/core';
import {
  type EnrolmentToken,
  GrantKeeper,
  NodeIdentity,
  PeerEngine,
  RegistryTokenCheck,
  SwarmBlobSource,
} from '@sealift/peer';
import type { BlobSource } from '@sealift/proxy';
import type { RegistryTokens } from '@sealift/registry';
import { BlobStore } from '@sealift/store';
import type { ConfigOf } from './config.ts';
import { isDiskFault, prepareDataDirectory, refuseDataDirectory } from './data-directory.ts';
import { NodeEngine } from './node-engine.ts';
import { isUnspecified } from './option-values.ts';
import type { NODE_OPTIONS } from './options.ts';
import type { ServiceStack } from './service-stack.ts';
import type { TrackerTrust } from './tracker-trust.ts';

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
  readonly signal: AbortSignal;
}

/** The half of a node that shares: its store, its identity and its peer engine. The proxy sees a source of blobs. */
export interface Sharing {
  readonly blobs: BlobSource;
  readonly store: BlobStore;
  readonly identity: NodeIdentity;
  readonly engine: NodeEngine;
}

/**
 * Opens the store and starts what shares it; `undefined` where the disk is at fault, so that the proxy goes on without.
 * Rejects if another process has the directory, or this user may not use it.
 */
export async function startSharing(options: SharingOptions, services: ServiceStack): Promise<Sharing | undefined> {
  const { config, clock, log } = options;
  const directory = join(config.data, 'blobs');
  try {
    await prepareDataDirectory(config.data);
    const store = await services.start(new BlobStore({ directory, quotaBytes: config.quota, clock, log }));
    return await startEngine(options, store, services);
  } catch (error) {
    if (!isDiskFault(error)) {
      if (isAppError(error, 'STORE_FAULT')) refuseDataDirectory(directory, error);
      throw error;
    }
    const advice = 'every pull goes to the registry until the disk is mended and the node is started again';
    log.error('store_unavailable', { directory, advice, error });
    return undefined;
  }
}

async function startEngine(
  { config, trust: { origin, anchor }, readEnrolmentToken, name, tokens, clock, log, signal }: SharingOptions,
  store: BlobStore,
  services: ServiceStack,
): Promise<Sharing> {
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
  });
  services.defer(async () => stopListening());
  await services.start(identity);
  const ready = (options: { signal: AbortSignal }): Promise<PeerEngine> => engine.ready(options);
  const blobs = new SwarmBlobSource({ identity, engine: ready, store, grants, clock, log, name, tokenCheck });
  return { blobs, store, identity, engine };
}

/** What the node announces: what it was told, else the one address it listens on, else what the tracker sees of it. */
function advertiseOf({ peerAddress, peerListen }: SharingOptions['config']): {
  advertise?: { host: string; port?: number };
} {
  if (peerAddress !== undefined) return { advertise: peerAddress };
  return isIP(peerListen.host) === 0 || isUnspecified(peerListen) ? {} : { advertise: { host: peerListen.host } };
}
