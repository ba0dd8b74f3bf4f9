import type { RegistryHost } from '@sealift/core';

/** A registry that this process may ask. */
export interface RegistryConfig {
  readonly registry: RegistryHost;
  /** More trust anchors, PEM. They add to the system's and hold for the hosts that the registry redirects to, as in Docker. */
  readonly caPem?: string;
}
