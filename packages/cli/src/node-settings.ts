import type { RegistryHost } from '@sealift/core';
import { parseTrackerAddress } from '@sealift/pki';
import type { ConfigOf } from './config.ts';
import type { NODE_OPTIONS } from './options.ts';

/** How a node was started, as far as `sealift doctor` has to know. No secret is in it, only where secrets lie. */
export interface NodeSettings {
  readonly origin: string;
  readonly fingerprint: string | null;
  readonly trackerCa: string | null;
  readonly registries: readonly RegistryHost[];
  readonly registryCa: readonly { readonly registry: RegistryHost; readonly path: string }[];
  readonly registryCerts: string | null;
  readonly certsDirectory: string | null;
  readonly quota: number;
  readonly tokenCheck: string;
  readonly enrolsBy: 'join token' | 'service account' | 'registry';
}

/** The settings of a node's configuration. */
export function settingsOf(config: ConfigOf<typeof NODE_OPTIONS>): NodeSettings {
  const { origin, fingerprint } = parseTrackerAddress(config.tracker);
  return {
    origin,
    fingerprint: fingerprint ?? null,
    trackerCa: config.trackerCa ?? null,
    registries: config.registry,
    registryCa: config.registryCa,
    registryCerts: config.registryCerts ?? null,
    certsDirectory: config.certsDirectory ?? null,
    quota: config.quota,
    tokenCheck: config.tokenCheck,
    enrolsBy:
      config.joinTokenFile !== undefined
        ? 'join token'
        : config.serviceAccountTokenFile !== undefined
          ? 'service account'
          : 'registry',
  };
}
